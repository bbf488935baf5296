//! The registers of a warp: one array over lanes for each register.

use crate::vm::access::WARP;
use crate::vm::inst::{NONE, Pred, Slot};

/// Mask of a whole warp.
pub(super) const FULL: u32 = u32::MAX;

/// A 32-bit value of each lane.
pub(super) type Words = [u32; WARP];

/// A 64-bit value of each lane.
pub(super) type Doubles = [u64; WARP];

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct WordSlot(Words);

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct DoubleSlot(Doubles);

/// The three register files of a warp.
#[derive(Clone, Debug)]
pub(in crate::vm) struct Registers {
    words: Vec<WordSlot>,
    doubles: Vec<DoubleSlot>,
    predicates: Vec<u32>,
    /// Carry of each lane (`add.cc` and its relatives).
    pub(super) carry: u32,
}

impl Registers {
    /// Files of the given extents, all zero.
    pub(super) fn new(words: usize, doubles: usize, predicates: usize) -> Self {
        Self {
            words: vec![WordSlot([0; WARP]); words],
            doubles: vec![DoubleSlot([0; WARP]); doubles],
            predicates: vec![0; predicates],
            carry: 0,
        }
    }

    /// All registers zero.
    pub(super) fn clear(&mut self) {
        self.words.fill(WordSlot([0; WARP]));
        self.doubles.fill(DoubleSlot([0; WARP]));
        self.predicates.fill(0);
        self.carry = 0;
    }

    #[inline(always)]
    pub(super) fn word(&self, slot: Slot) -> &Words {
        &self.words[slot as usize].0
    }

    #[inline(always)]
    pub(super) fn double(&self, slot: Slot) -> &Doubles {
        &self.doubles[slot as usize].0
    }

    /// Lanes in which a predicate operand holds.
    #[inline(always)]
    pub(super) fn predicate(&self, p: Pred) -> u32 {
        let mask = self.predicates[p.slot as usize];
        if p.negated { !mask } else { mask }
    }

    #[inline(always)]
    pub(super) fn mask(&self, slot: Slot) -> u32 {
        self.predicates[slot as usize]
    }

    #[inline(always)]
    pub(super) fn set_word(&mut self, slot: Slot, value: &Words, mask: u32) {
        let to = &mut self.words[slot as usize].0;
        if mask == FULL {
            *to = *value;
        } else {
            for lane in 0..WARP {
                to[lane] = if mask >> lane & 1 != 0 { value[lane] } else { to[lane] };
            }
        }
    }

    #[inline(always)]
    pub(super) fn set_double(&mut self, slot: Slot, value: &Doubles, mask: u32) {
        let to = &mut self.doubles[slot as usize].0;
        if mask == FULL {
            *to = *value;
        } else {
            for lane in 0..WARP {
                to[lane] = if mask >> lane & 1 != 0 { value[lane] } else { to[lane] };
            }
        }
    }

    /// Sets the predicate in the lanes of `mask`; [`NONE`] drops it.
    #[inline(always)]
    pub(super) fn set_predicate(&mut self, slot: Slot, value: u32, mask: u32) {
        if slot != NONE {
            let to = &mut self.predicates[slot as usize];
            *to = *to & !mask | value & mask;
        }
    }

    /// The same word in every lane.
    pub(super) fn fill_word(&mut self, slot: Slot, value: u32) {
        self.words[slot as usize].0 = [value; WARP];
    }

    /// The same 64 bits in every lane.
    pub(super) fn fill_double(&mut self, slot: Slot, value: u64) {
        self.doubles[slot as usize].0 = [value; WARP];
    }

    /// `d = f(a)` on words.
    #[inline(always)]
    pub(super) fn map1(&mut self, mask: u32, d: Slot, a: Slot, f: impl Fn(u32) -> u32) {
        let a = self.word(a);
        let mut out = [0; WARP];
        for lane in 0..WARP {
            out[lane] = f(a[lane]);
        }
        self.set_word(d, &out, mask);
    }

    /// `d = f(a, b)` on words.
    #[inline(always)]
    pub(super) fn map2(
        &mut self,
        mask: u32,
        d: Slot,
        (a, b): (Slot, Slot),
        f: impl Fn(u32, u32) -> u32,
    ) {
        let (a, b) = (self.word(a), self.word(b));
        let mut out = [0; WARP];
        for lane in 0..WARP {
            out[lane] = f(a[lane], b[lane]);
        }
        self.set_word(d, &out, mask);
    }

    /// `d = f(a, b, c)` on words.
    #[inline(always)]
    pub(super) fn map3(
        &mut self,
        mask: u32,
        d: Slot,
        (a, b, c): (Slot, Slot, Slot),
        f: impl Fn(u32, u32, u32) -> u32,
    ) {
        let (a, b, c) = (self.word(a), self.word(b), self.word(c));
        let mut out = [0; WARP];
        for lane in 0..WARP {
            out[lane] = f(a[lane], b[lane], c[lane]);
        }
        self.set_word(d, &out, mask);
    }

    /// `d = f(a)` on 64 bits.
    #[inline(always)]
    pub(super) fn wide1(&mut self, mask: u32, d: Slot, a: Slot, f: impl Fn(u64) -> u64) {
        let a = self.double(a);
        let mut out = [0; WARP];
        for lane in 0..WARP {
            out[lane] = f(a[lane]);
        }
        self.set_double(d, &out, mask);
    }

    /// `d = f(a, b)` on 64 bits.
    #[inline(always)]
    pub(super) fn wide2(
        &mut self,
        mask: u32,
        d: Slot,
        (a, b): (Slot, Slot),
        f: impl Fn(u64, u64) -> u64,
    ) {
        let (a, b) = (self.double(a), self.double(b));
        let mut out = [0; WARP];
        for lane in 0..WARP {
            out[lane] = f(a[lane], b[lane]);
        }
        self.set_double(d, &out, mask);
    }

    /// `d = f(a, b, c)` on 64 bits.
    #[inline(always)]
    pub(super) fn wide3(
        &mut self,
        mask: u32,
        d: Slot,
        (a, b, c): (Slot, Slot, Slot),
        f: impl Fn(u64, u64, u64) -> u64,
    ) {
        let (a, b, c) = (self.double(a), self.double(b), self.double(c));
        let mut out = [0; WARP];
        for lane in 0..WARP {
            out[lane] = f(a[lane], b[lane], c[lane]);
        }
        self.set_double(d, &out, mask);
    }
}

/// Mask of the lanes for which `f` holds.
#[inline(always)]
pub(super) fn ballot(f: impl Fn(usize) -> bool) -> u32 {
    let mut mask = 0;
    for lane in 0..WARP {
        mask |= (f(lane) as u32) << lane;
    }
    mask
}
