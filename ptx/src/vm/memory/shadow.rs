//! Who accessed shared memory last: the race check.
//!
//! Every cell holds the last write and the last read of some bytes, or that there were several
//! unordered reads (or atomics). Cells are 16 bytes wide until a narrower access meets them, then
//! 4, 2 or 1: the rows of matrix tiles cost one cell each, and bytes are told apart where bytes
//! are accessed. Stamps of earlier blocks are before the base of the clock, so nothing is
//! cleared between blocks.

use std::collections::HashMap;

use super::clocks::{Clocks, Stamp, pc, thread, time};
use crate::vm::access::WARP;

/// In a stamp: several lanes of one warp, unordered among themselves.
pub(super) const LANES: u64 = 1;
/// In a stamp: lanes of several warps.
pub(super) const WARPS: u64 = 2;
pub(super) const CROWD: u64 = 3;
/// In the stamp of a write: it was atomic.
const ATOMIC: u64 = 4;

/// Widths of cells by level, as powers of two.
pub(super) const SHIFTS: [u32; 4] = [4, 2, 1, 0];

/// What a thread does to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    Atomic,
    /// Issues a copy: checked as a write, which it will be when it lands.
    Copy,
}

/// The other access of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    pub thread: u32,
    pub pc: u32,
    pub time: u32,
    pub wrote: bool,
}

/// Readers, or atomics, of one warp.
#[derive(Clone, Copy)]
struct Member {
    stamp: Stamp,
    lanes: u32,
}

/// Cells of one width.
#[derive(Default)]
pub(super) struct Level {
    /// Stamps of the last read and the last write.
    pub cells: Vec<[Stamp; 2]>,
    /// Where a stamp stands for several: the first of them, with the mask of the lanes instead
    /// of the time.
    pub firsts: Vec<[Stamp; 2]>,
}

/// The cells of a block's shared memory.
#[derive(Default)]
pub(super) struct Shadow {
    pub(super) levels: [Level; 4],
    /// Keep `WARPS` stamps warp by warp in `crowds`. Else they are undone by barriers of the
    /// whole block alone, which is exact where there are no others.
    pub(super) by_warp: bool,
    crowds: HashMap<(usize, usize, usize), Vec<Member>>,
}

/// The coarsest level whose cells an access of so many bytes fills.
#[inline]
pub(super) const fn level_of(bytes: u32) -> u32 {
    match bytes {
        16 => 0,
        4 | 8 => 1,
        2 => 2,
        _ => 3,
    }
}

impl Shadow {
    /// Makes room for `bytes` bytes, a multiple of 16, and forgets everything.
    pub fn resize(&mut self, bytes: usize) {
        for (level, shift) in self.levels.iter_mut().zip(SHIFTS) {
            level.cells = vec![[0; 2]; bytes >> shift];
            level.firsts = vec![[0; 2]; bytes >> shift];
        }
    }

    /// Begins a block.
    pub fn reset(&mut self, by_warp: bool) {
        self.by_warp = by_warp;
        self.crowds.clear();
    }

    /// From now on, keeps readers warp by warp. Crowds of before count as ordered.
    pub fn keep_warps(&mut self) {
        self.by_warp = true;
    }

    /// Notes an access of `bytes` bytes at a multiple of their number. `level` is the level of
    /// the cells of its 16 bytes.
    #[inline]
    pub fn access(
        &mut self,
        clocks: &Clocks,
        level: &mut u32,
        address: u32,
        bytes: u32,
        me: Stamp,
        kind: Kind,
    ) -> Result<(), Clash> {
        if *level < level_of(bytes) {
            self.refine(*level, level_of(bytes), address);
            *level = level_of(bytes);
        }
        let shift = SHIFTS[*level as usize];
        let first = (address >> shift) as usize;
        let count = (bytes >> shift).max(1) as usize;
        for index in first..first + count {
            self.cell(clocks, *level as usize, index, me, kind)?;
        }
        Ok(())
    }

    /// Notes a write that needs no check: of a copy that landed.
    #[inline]
    pub fn stamp_write(&mut self, level: &mut u32, address: u32, bytes: u32, me: Stamp) {
        if *level < level_of(bytes) {
            self.refine(*level, level_of(bytes), address);
            *level = level_of(bytes);
        }
        let shift = SHIFTS[*level as usize];
        let first = (address >> shift) as usize;
        for cell in
            &mut self.levels[*level as usize].cells[first..first + (bytes >> shift) as usize]
        {
            cell[1] = me;
        }
    }

    #[inline]
    fn cell(
        &mut self,
        clocks: &Clocks,
        level: usize,
        index: usize,
        me: Stamp,
        kind: Kind,
    ) -> Result<(), Clash> {
        let base = clocks.base();
        let [read, write] = self.levels[level].cells[index];
        let both_atomic = kind == Kind::Atomic && write & ATOMIC != 0;
        if time(write) >= base && !both_atomic {
            self.check(clocks, (level, index, 1), write, me)?;
        }
        if kind != Kind::Read && time(read) >= base {
            self.check(clocks, (level, index, 0), read, me)?;
        }
        match kind {
            Kind::Read => {
                let next = if time(read) < base {
                    me
                } else {
                    self.join(clocks, (level, index, 0), read, me)
                };
                self.levels[level].cells[index][0] = next;
            }
            Kind::Write => self.levels[level].cells[index][1] = me,
            Kind::Copy => {}
            Kind::Atomic => {
                let next = if time(write) < base || !both_atomic {
                    me
                } else {
                    self.join(clocks, (level, index, 1), write, me)
                };
                self.levels[level].cells[index][1] = next | ATOMIC;
            }
        }
        Ok(())
    }

    /// Whether what a stamp stands for is ordered before thread `me`.
    #[inline]
    fn check(
        &self,
        clocks: &Clocks,
        place: (usize, usize, usize),
        then: Stamp,
        me: Stamp,
    ) -> Result<(), Clash> {
        if then & CROWD == 0 && thread(then) == thread(me) {
            return Ok(());
        }
        match self.find_clash(clocks, place, then, thread(me)) {
            None => Ok(()),
            Some((stamp, lane)) => {
                let thread = lane.unwrap_or(thread(stamp));
                Err(Clash { thread, pc: pc(stamp), time: time(then), wrote: place.2 == 1 })
            }
        }
    }

    /// An access that a stamp stands for and that is not ordered before `me`; its thread where
    /// the stamp found does not name it.
    fn find_clash(
        &self,
        clocks: &Clocks,
        place: (usize, usize, usize),
        then: Stamp,
        me: u32,
    ) -> Option<(Stamp, Option<u32>)> {
        let warp = thread(then) / WARP as u32;
        let first = self.levels[place.0].firsts[place.1][place.2];
        match then & CROWD {
            0 => (!clocks.ordered(then, me)).then_some((then, None)),
            LANES => {
                let mask = (first >> 32) as u32;
                if clocks.lanes_ordered(warp, mask, time(then), me) {
                    return None;
                }
                Some((if thread(then) == me { first } else { then }, None))
            }
            _ if self.by_warp => {
                let clashes = |m: &&Member| {
                    let warp = thread(m.stamp) / WARP as u32;
                    !clocks.lanes_ordered(warp, m.lanes, time(m.stamp), me)
                };
                let member = self.crowds.get(&place)?.iter().find(clashes)?;
                let warp = thread(member.stamp) & !31;
                let mine = thread(member.stamp) == me;
                let other = (member.lanes & !(1 << (me % 32))).trailing_zeros();
                Some((member.stamp, mine.then_some(warp + other)))
            }
            _ => {
                if time(then) < clocks.base() {
                    return None;
                }
                Some((if warp == me / WARP as u32 { first } else { then }, None))
            }
        }
    }

    /// The stamp for what `then` stands for and one more access, `me`, of the same kind.
    fn join(
        &mut self,
        clocks: &Clocks,
        place: (usize, usize, usize),
        then: Stamp,
        me: Stamp,
    ) -> Stamp {
        let now = (clocks.now() as u64) << 32;
        let (old, new) = (thread(then), thread(me));
        let (warp, mine) = (old / WARP as u32, new / WARP as u32);
        let first = &mut self.levels[place.0].firsts[place.1][place.2];
        let lanes = match then & CROWD {
            0 if old == new || clocks.ordered(then, new) => return me,
            0 => {
                *first = then & 0xffff_ffff;
                1 << (old % 32)
            }
            LANES => {
                if clocks.warp_ordered(warp, time(then), mine) {
                    return me;
                }
                (*first >> 32) as u32
            }
            _ => {
                if self.by_warp {
                    self.join_crowd(clocks, place, me);
                }
                return (then & 0xffff_ffff) | now;
            }
        };
        if warp == mine {
            *first = (*first & 0xffff_ffff) | (lanes as u64 | 1 << (new % 32)) << 32;
            return (me & !CROWD) | LANES;
        }
        if self.by_warp {
            let members = self.crowds.entry(place).or_default();
            members.clear();
            members.push(Member { stamp: then, lanes });
            self.join_crowd(clocks, place, me);
        }
        (me & !CROWD) | WARPS
    }

    /// Adds an access to a crowd that is kept warp by warp; members that are ordered before it
    /// are no longer needed.
    fn join_crowd(&mut self, clocks: &Clocks, place: (usize, usize, usize), me: Stamp) {
        let (mine, lane) = (thread(me) / WARP as u32, 1 << (thread(me) % 32));
        let members = self.crowds.entry(place).or_default();
        members
            .retain(|m| !clocks.warp_ordered(thread(m.stamp) / WARP as u32, time(m.stamp), mine));
        match members.iter_mut().find(|m| thread(m.stamp) / WARP as u32 == mine) {
            Some(member) => *member = Member { stamp: me, lanes: member.lanes | lane },
            None => members.push(Member { stamp: me, lanes: lane }),
        }
    }

    /// Copies the cells of the 16 bytes around an address from a level to a finer one.
    #[cold]
    fn refine(&mut self, from: u32, to: u32, address: u32) {
        let (from, to) = (from as usize, to as usize);
        let group = (address & !15) as usize;
        let ratio = SHIFTS[from] - SHIFTS[to];
        let first = group >> SHIFTS[to];
        for index in first..first + (16 >> SHIFTS[to]) {
            let coarse = index >> ratio;
            self.levels[to].cells[index] = self.levels[from].cells[coarse];
            self.levels[to].firsts[index] = self.levels[from].firsts[coarse];
            for kind in 0..2 {
                if let Some(members) = self.crowds.get(&(from, coarse, kind)) {
                    let members = members.clone();
                    self.crowds.insert((to, index, kind), members);
                }
            }
        }
    }
}
