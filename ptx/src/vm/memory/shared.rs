//! Shared memory of one executing block.

use std::ops::Range;

use super::atomic::Atomic;
use super::view::GlobalView;
use crate::vm::access::{Lanes, Site, Wide};
use crate::vm::counters::Counters;
use crate::vm::fault::Fault;

/// Shared memory of the block that a CPU thread runs. Addresses count from 0.
#[derive(Default)]
pub struct SharedMemory {}

#[allow(unused_variables, clippy::too_many_arguments)]
impl SharedMemory {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a block of `warps` warps. `regions` are the extents of the variables, ascending;
    /// an access must lie inside one of them. `subsets` says that the kernel has barriers for a
    /// part of the warps (a named barrier with a count): readers are then kept warp by warp.
    pub fn reset(&mut self, regions: &[Range<u32>], warps: u32, subsets: bool) {
        unimplemented!()
    }

    /// Reads `bytes` (1, 2, 4, 8 or 16) per lane of `mask`. Bytes beyond the width are zero;
    /// lanes outside the mask keep their value. The rows of `ldmatrix` are loads of 16 bytes by
    /// the lanes that give their addresses.
    ///
    /// # Errors
    /// Out of bounds, misaligned, uninitialised, a race, or bytes of a pending copy.
    pub fn load(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u32>,
        bytes: u32,
        out: &mut Lanes<Wide>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        unimplemented!()
    }

    /// Writes `bytes` (1, 2, 4, 8 or 16) per lane of `mask`, in lane order.
    ///
    /// # Errors
    /// Out of bounds, misaligned, a race, or bytes of a pending copy.
    pub fn store(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u32>,
        bytes: u32,
        values: &Lanes<Wide>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        unimplemented!()
    }

    /// Read-modify-write of each lane of `mask`, in lane order; `old` gets the values before.
    ///
    /// # Errors
    /// As for a load and a store; atomics are no race among themselves.
    pub fn atomic(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u32>,
        atomic: Atomic,
        operands: &Lanes<u64>,
        compare: &Lanes<u64>,
        old: &mut Lanes<u64>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        unimplemented!()
    }

    /// A barrier of the warps in `warps` (bit per warp of the block) completed.
    pub fn barrier(&mut self, warps: u32) {
        unimplemented!()
    }

    /// The lanes `mask` of a warp synchronised (`bar.warp.sync`).
    pub fn warp_sync(&mut self, warp: u32, mask: u32) {
        unimplemented!()
    }

    /// A warp ended; a barrier of all that are left counts as one of the whole block.
    pub fn exit(&mut self, warp: u32) {
        unimplemented!()
    }

    /// `cp.async`: lane by lane, `source_bytes` (at most `copy_bytes`: 4, 8 or 16) are read from
    /// global memory now and, with zeros after them, land in shared memory at the wait.
    ///
    /// # Errors
    /// Those of a global load of the source and of a store to the destination.
    pub fn copy_issue(
        &mut self,
        site: Site,
        mask: u32,
        destinations: &Lanes<u32>,
        sources: &Lanes<u64>,
        copy_bytes: u32,
        source_bytes: &Lanes<u32>,
        global: &mut GlobalView<'_>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        unimplemented!()
    }

    /// `cp.async.commit_group` of the lanes of a warp.
    pub fn copy_commit(&mut self, warp: u32, mask: u32) {
        unimplemented!()
    }

    /// `cp.async.wait_group`: all but the newest `left` groups of each lane land.
    /// `cp.async.wait_all` is a commit and a wait for all but 0.
    pub fn copy_wait(&mut self, warp: u32, mask: u32, left: u32) {
        unimplemented!()
    }
}
