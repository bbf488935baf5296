//! The sixteen barriers of a block.

use crate::vm::access::WARP;

/// Numbers of barriers that a block has.
pub(super) const BARRIERS: usize = 16;

/// One barrier, while warps arrive at it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Barrier {
    /// Warps that arrived, bit by bit.
    pub(super) arrived: u32,
    /// Those of them that wait.
    pub(super) waiting: u32,
    /// Threads that it takes, by whole warps; 0 for the whole block.
    pub(super) threads: u32,
    /// Lanes whose predicate holds, over the warps that arrived.
    pub(super) holding: u32,
    /// Lanes that arrived.
    pub(super) lanes: u32,
}

impl Barrier {
    /// Nobody is there.
    pub(super) fn is_idle(&self) -> bool {
        self.arrived == 0
    }

    /// All that it takes are there, in a block of the warps `all`.
    pub(super) fn is_complete(&self, all: u32) -> bool {
        match self.threads {
            0 => self.arrived & all == all,
            threads => self.arrived.count_ones() * WARP as u32 >= threads,
        }
    }
}
