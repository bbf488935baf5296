//! Global memory that the warps of a block wrote since its last barrier.
//!
//! Another warp of the block may read or write it only behind a barrier: without one the order of
//! the two is the hardware's choice. A read before a write goes unseen; who read what is not kept.

use std::collections::HashMap;

use super::block::Block;
use super::warp::Warp;
use crate::vm::access::{Lanes, Site, lanes};
use crate::vm::fault::{Fault, FaultKind};

/// Bytes that share an entry.
const GROUP: u64 = 16;

/// Who wrote each byte of a group last.
#[derive(Clone, Copy, Debug, Default)]
struct Writers {
    /// Warp plus one; 0 for nobody.
    warps: [u8; GROUP as usize],
    lanes: [u8; GROUP as usize],
    pcs: [u32; GROUP as usize],
}

/// What a block wrote since its last barrier.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    groups: HashMap<u64, Writers>,
}

impl Fresh {
    /// A barrier, or another block: whatever was written is old.
    pub(super) fn clear(&mut self) {
        self.groups.clear();
    }

    fn note(&mut self, warp: u32, pc: u32, mask: u32, addresses: &Lanes<u64>, bytes: u32) {
        for lane in lanes(mask) {
            let address = addresses[lane];
            let writers = self.groups.entry(address / GROUP).or_default();
            for byte in bytes_of(address, bytes) {
                writers.warps[byte] = warp as u8 + 1;
                writers.lanes[byte] = lane as u8;
                writers.pcs[byte] = pc;
            }
        }
    }

    /// A lane that accesses what another warp wrote, and who that was: warp, lane, instruction.
    fn clash(
        &self,
        warp: u32,
        mask: u32,
        addresses: &Lanes<u64>,
        bytes: u32,
    ) -> Option<(usize, u32, u32, u32)> {
        lanes(mask).find_map(|lane| {
            let writers = self.groups.get(&(addresses[lane] / GROUP))?;
            let other = |&byte: &usize| ![0, warp as u8 + 1].contains(&writers.warps[byte]);
            let byte = bytes_of(addresses[lane], bytes).find(other)?;
            let by = writers.warps[byte] as u32 - 1;
            Some((lane, by, writers.lanes[byte] as u32, writers.pcs[byte]))
        })
    }
}

/// The bytes of an aligned access in its group.
fn bytes_of(address: u64, bytes: u32) -> std::ops::Range<usize> {
    let first = (address % GROUP) as usize;
    first..(first + bytes as usize).min(GROUP as usize)
}

impl Block<'_> {
    /// An access to global memory that the other checks have passed.
    pub(super) fn check_fresh(
        &mut self,
        warp: &Warp,
        (pc, mask): (u32, u32),
        addresses: &Lanes<u64>,
        bytes: u32,
        writes: bool,
    ) -> Result<(), Fault> {
        let Some(fresh) = &mut self.fresh else { return Ok(()) };
        if !fresh.groups.is_empty()
            && let Some((lane, by, other, at)) = fresh.clash(warp.index, mask, addresses, bytes)
        {
            let how = if writes { "written" } else { "read" };
            let detail = format!(
                "{bytes} bytes at {:#x} of global memory {how}, but warp {by} lane {other} of the \
                 block wrote some of them and no barrier orders the two",
                addresses[lane]
            );
            let site = self.site(warp.index, pc);
            let other = Some((Site { warp: by, pc: at, ..site }, other, true));
            return Err(Fault { kind: FaultKind::Race, site, lane: lane as u32, detail, other });
        }
        if writes {
            fresh.note(warp.index, pc, mask, addresses, bytes);
        }
        Ok(())
    }
}
