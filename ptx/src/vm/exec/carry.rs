//! Additions and subtractions with a carry.

use super::integer::{mul_hi_s, mul_hi_u};
use super::registers::Registers;
use crate::vm::access::WARP;
use crate::vm::inst::{Carry, Slot};

/// 32-bit arithmetic with the carry of each lane.
pub(super) fn carry32(
    r: &mut Registers,
    mask: u32,
    (f, reads, writes): (Carry, bool, bool),
    d: Slot,
    (a, b, c): (Slot, Slot, Slot),
) {
    let carry = if reads { r.carry } else { 0 };
    let (a, b, c) = (*r.word(a), *r.word(b), *r.word(c));
    let mut out = [0; WARP];
    let mut carries = 0;
    for lane in 0..WARP {
        let from = carry >> lane & 1;
        let (x, y) = (a[lane], b[lane]);
        let (x, y) = match f {
            Carry::Add | Carry::Sub => (x, y),
            Carry::MadLoU | Carry::MadLoS => (x.wrapping_mul(y), c[lane]),
            Carry::MadHiU => (mul_hi_u(x, y), c[lane]),
            Carry::MadHiS => (mul_hi_s(x, y), c[lane]),
        };
        // The carry of a subtraction is its borrow.
        let wide = if f == Carry::Sub {
            (x as u64).wrapping_sub(y as u64 + from as u64)
        } else {
            x as u64 + y as u64 + from as u64
        };
        out[lane] = wide as u32;
        carries |= ((wide >> 32 & 1) as u32) << lane;
    }
    r.set_word(d, &out, mask);
    if writes {
        r.carry = r.carry & !mask | carries & mask;
    }
}

/// 64-bit sums and differences with the carry of each lane.
pub(super) fn carry64(
    r: &mut Registers,
    mask: u32,
    (f, reads, writes): (Carry, bool, bool),
    d: Slot,
    (a, b): (Slot, Slot),
) {
    let carry = if reads { r.carry } else { 0 };
    let (a, b) = (*r.double(a), *r.double(b));
    let mut out = [0; WARP];
    let mut carries = 0;
    for lane in 0..WARP {
        let from = (carry >> lane & 1) as u128;
        let (x, y) = (a[lane] as u128, b[lane] as u128);
        let wide = if f == Carry::Sub { x.wrapping_sub(y + from) } else { x + y + from };
        out[lane] = wide as u64;
        carries |= ((wide >> 64 & 1) as u32) << lane;
    }
    r.set_double(d, &out, mask);
    if writes {
        r.carry = r.carry & !mask | carries & mask;
    }
}
