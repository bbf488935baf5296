//! The race check where a look at the stamps decides: nearly always.

use super::clocks::{Quick, Stamp, thread, time};
use super::shadow::{CROWD, LANES, Level, SHIFTS, Shadow, WARPS};
use crate::vm::access::WARP;

impl Shadow {
    /// Whether [`Shadow::quick_read`] and [`Shadow::quick_write`] may be asked.
    #[inline]
    pub fn is_quick(&self) -> bool {
        !self.by_warp
    }

    /// Notes a read of `bytes` bytes at cells of `level`, which are no wider, where that takes
    /// nothing but a look at the stamps. False where [`Shadow::access`] has to decide.
    #[inline]
    pub fn quick_read(
        &mut self,
        quick: Quick,
        level: u32,
        address: u32,
        bytes: u32,
        me: Stamp,
    ) -> bool {
        let shift = SHIFTS[level as usize];
        let first = (address >> shift) as usize;
        let Level { cells, firsts } = &mut self.levels[level as usize];
        for index in first..first + (bytes >> shift) as usize {
            let [read, write] = cells[index];
            if !passes(quick, write, me) {
                return false;
            }
            let next = if time(read) < quick.base || thread(read) == thread(me) && read & CROWD == 0
            {
                me
            } else if thread(read) / WARP as u32 != thread(me) / WARP as u32 {
                // Without barriers for a part of the warps, they are unordered since the base.
                match read & CROWD {
                    0 => {
                        firsts[index][0] = read & 0xffff_ffff;
                        me | WARPS
                    }
                    LANES => return false,
                    _ => read,
                }
            } else if read & CROWD == WARPS {
                read
            } else if time(read) < quick.own {
                me
            } else {
                let mask = match read & CROWD {
                    0 => read & 0xffff_ffff | 1 << (32 + thread(read) % 32),
                    _ => firsts[index][0],
                };
                firsts[index][0] = mask | 1 << (32 + thread(me) % 32);
                me | LANES
            };
            cells[index][0] = next;
        }
        true
    }

    /// As [`Shadow::quick_read`] for a write, or for the check of one (`stamping` false).
    #[inline]
    pub fn quick_write(
        &mut self,
        quick: Quick,
        level: u32,
        address: u32,
        bytes: u32,
        me: Stamp,
        stamping: bool,
    ) -> bool {
        let shift = SHIFTS[level as usize];
        let first = (address >> shift) as usize;
        let cells = &mut self.levels[level as usize].cells;
        for [read, write] in &mut cells[first..first + (bytes >> shift) as usize] {
            if !passes(quick, *write, me) || !passes(quick, *read, me) {
                return false;
            }
            if stamping {
                *write = me;
            }
        }
        true
    }
}

/// Whether a stamp is ordered before `me` beyond doubt.
#[inline]
fn passes(quick: Quick, then: Stamp, me: Stamp) -> bool {
    time(then) < quick.base
        || (thread(then) ^ thread(me)) / WARP as u32 == 0
            && then & CROWD != WARPS
            && (time(then) < quick.own || then & CROWD == 0 && thread(then) == thread(me))
}
