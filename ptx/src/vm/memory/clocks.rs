//! What is ordered before what in a block: a clock that every barrier moves on.
//!
//! An access is stamped with the time and its thread. It is ordered before a later one of
//! another thread if a chain of barriers leads from the one to the other: for each warp, `seen`
//! holds up to which time the accesses of every other warp are before it; inside a warp, lanes
//! are ordered by barriers of the warp alone. Barriers of the whole block only move `base`.

use crate::vm::access::{WARP, lanes};

/// Who accessed what, when: bits 32 to 63 the time, 13 to 31 the instruction, 3 to 12 the
/// thread; 0 to 2 as the shadow needs them.
pub(super) type Stamp = u64;

/// Bits of a stamp below the instruction and the thread.
const THREAD: u32 = 3;
const PC: u32 = 13;

/// When the access was.
#[inline]
pub(super) fn time(stamp: Stamp) -> u32 {
    (stamp >> 32) as u32
}

/// Its thread: the warp times 32, plus the lane.
#[inline]
pub(super) fn thread(stamp: Stamp) -> u32 {
    (stamp >> THREAD) as u32 & 0x3ff
}

/// Its instruction.
#[inline]
pub(super) fn pc(stamp: Stamp) -> u32 {
    (stamp >> PC) as u32 & 0x7_ffff
}

/// What is ordered before an access to come of a warp: everything before `base`, and what the
/// warp itself did before `own`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quick {
    pub base: u32,
    pub own: u32,
}

/// The clock of a block.
pub(super) struct Clocks {
    now: u32,
    /// Accesses before this time are ordered before all to come.
    base: u32,
    /// Warps that have not ended.
    live: u32,
    /// Lanes that each warp began with.
    lanes: [u32; WARP],
    /// `seen[a][b]`: accesses of warp `b` before this time are before those to come of warp `a`.
    seen: Box<[[u32; WARP]; WARP]>,
    /// The same for the lanes of a warp, where a part of them synchronised.
    partial: Vec<Option<Box<[[u32; WARP]; WARP]>>>,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            now: 1,
            base: 1,
            live: 0,
            lanes: [0; WARP],
            seen: Box::new([[0; WARP]; WARP]),
            partial: vec![None; WARP],
        }
    }
}

impl Clocks {
    /// Begins a block of so many threads. True where the clock began anew: older stamps mean
    /// nothing then.
    pub fn reset(&mut self, threads: u32) -> bool {
        let again = self.now > u32::MAX / 2;
        self.now = if again { 1 } else { self.now + 1 };
        self.base = self.now;
        self.live = 0;
        for (warp, all) in self.lanes.iter_mut().enumerate() {
            let left = threads.saturating_sub((warp * WARP) as u32);
            *all = if left >= WARP as u32 { u32::MAX } else { (1 << left) - 1 };
            self.live |= ((left > 0) as u32) << warp;
        }
        *self.seen = [[0; WARP]; WARP];
        self.partial.fill(None);
        again
    }

    /// Stamp of lane 0 of a warp for an access at this time.
    #[inline]
    pub fn stamp(&self, warp: u32, pc: u32) -> Stamp {
        (self.now as u64) << 32 | (pc.min(0x7_ffff) as u64) << PC | (warp as u64) << (THREAD + 5)
    }

    /// The same for another lane.
    #[inline]
    pub fn of_lane(stamp: Stamp, lane: usize) -> Stamp {
        stamp | (lane as u64) << THREAD
    }

    /// The time.
    #[inline]
    pub fn now(&self) -> u32 {
        self.now
    }

    /// What decides most accesses of a warp; `None` while parts of it synchronised.
    #[inline]
    pub fn quick(&self, warp: u32) -> Option<Quick> {
        let own = self.seen[warp as usize][warp as usize].max(self.base);
        self.partial[warp as usize].is_none().then_some(Quick { base: self.base, own })
    }

    /// Accesses before this time are ordered before all to come.
    #[inline]
    pub fn base(&self) -> u32 {
        self.base
    }

    /// Whether accesses of a warp at a time are ordered before those to come of another, or of
    /// all lanes of the same.
    #[inline]
    pub fn warp_ordered(&self, warp: u32, time: u32, next: u32) -> bool {
        time < self.base || time < self.seen[next as usize][warp as usize]
    }

    /// Whether accesses of the lanes `mask` of a warp at a time are ordered before those to come
    /// of thread `next`.
    pub fn lanes_ordered(&self, warp: u32, mask: u32, time: u32, next: u32) -> bool {
        if self.warp_ordered(warp, time, next / WARP as u32) {
            return true;
        }
        if warp != next / WARP as u32 {
            return false;
        }
        let me = next as usize % WARP;
        let others = mask & !(1 << me);
        match &self.partial[warp as usize] {
            None => others == 0,
            Some(known) => lanes(others).all(|lane| time < known[me][lane]),
        }
    }

    /// Whether an access is ordered before those to come of a thread.
    #[inline]
    pub fn ordered(&self, then: Stamp, next: u32) -> bool {
        let first = thread(then);
        first == next
            || self.lanes_ordered(first / WARP as u32, 1 << (first % 32), time(then), next)
    }

    /// A barrier of warps. True where it was one of the whole block.
    pub fn barrier(&mut self, warps: u32) -> bool {
        self.now += 1;
        let whole = warps & self.live == self.live;
        if whole {
            self.base = self.now;
        } else {
            let mut joined = [0; WARP];
            for warp in lanes(warps) {
                for (to, &from) in joined.iter_mut().zip(&self.seen[warp]) {
                    *to = from.max(*to);
                }
            }
            lanes(warps).for_each(|warp| joined[warp] = self.now);
            lanes(warps).for_each(|warp| self.seen[warp] = joined);
        }
        lanes(warps).for_each(|warp| self.partial[warp] = None);
        whole
    }

    /// A barrier of lanes of a warp.
    pub fn warp_sync(&mut self, warp: u32, mask: u32) {
        self.now += 1;
        let warp = warp as usize;
        if self.lanes[warp] & !mask == 0 {
            self.seen[warp][warp] = self.now;
            self.partial[warp] = None;
            return;
        }
        let known = self.partial[warp].get_or_insert_with(|| Box::new([[0; WARP]; WARP]));
        let mut joined = [0; WARP];
        for lane in lanes(mask) {
            for (to, &from) in joined.iter_mut().zip(&known[lane]) {
                *to = from.max(*to);
            }
        }
        lanes(mask).for_each(|lane| joined[lane] = self.now);
        lanes(mask).for_each(|lane| known[lane] = joined);
    }

    /// A warp ended.
    pub fn exit(&mut self, warp: u32) {
        self.live &= !(1 << warp);
    }
}
