//! Global memory as one launch sees it.

use std::marker::PhantomData;

use super::atomic::Atomic;
use crate::vm::access::{Lanes, Site, Wide};
use crate::vm::counters::Counters;
use crate::vm::fault::Fault;

/// How the blocks of a launch run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// On several CPU threads. Whether there is a fault does not depend on their number; which
    /// one comes first does. [`LaunchMemory::roll_back`] and a [`Run::Named`] run after it give
    /// the report that does not.
    Parallel,
    /// On one CPU thread, blocks in ascending order. A race between blocks is found, but its
    /// earlier access is known by its block alone.
    Serial,
    /// On one CPU thread, blocks in ascending order, keeping who accessed each word: slow, for
    /// the report of a launch that failed. Cannot be rolled back.
    Named,
}

/// What one launch sees of global memory: the allocations of its beginning.
pub struct LaunchMemory {}

impl LaunchMemory {
    /// The handle of one CPU thread.
    pub fn view(&self) -> GlobalView<'_> {
        unimplemented!()
    }

    /// Undoes every write of the launch. Nothing is undone after [`Run::Named`].
    pub fn roll_back(self) {
        unimplemented!()
    }
}

/// Access to global memory for one CPU thread that runs blocks of a launch.
pub struct GlobalView<'a> {
    launch: PhantomData<&'a LaunchMemory>,
}

#[allow(unused_variables, clippy::too_many_arguments)]
impl GlobalView<'_> {
    /// Reads `bytes` (1, 2, 4, 8 or 16) per lane of `mask`. Bytes beyond the width are zero;
    /// lanes outside the mask keep their value.
    ///
    /// # Errors
    /// Out of bounds, misaligned, uninitialised, or written by another block.
    pub fn load(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u64>,
        bytes: u32,
        out: &mut Lanes<Wide>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        unimplemented!()
    }

    /// Writes `bytes` (1, 2, 4, 8 or 16) per lane of `mask`, in lane order.
    ///
    /// # Errors
    /// Out of bounds, misaligned, or accessed by another block.
    pub fn store(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u64>,
        bytes: u32,
        values: &Lanes<Wide>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        unimplemented!()
    }

    /// Read-modify-write of each lane of `mask`, in lane order; `old` gets the values before.
    ///
    /// # Errors
    /// As for a load and a store; atomics of several blocks on one word are allowed.
    pub fn atomic(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u64>,
        atomic: Atomic,
        operands: &Lanes<u64>,
        compare: &Lanes<u64>,
        old: &mut Lanes<u64>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        unimplemented!()
    }
}
