//! Integer arithmetic and logic.

use super::registers::Registers;
use super::simd::vectorized;
use crate::vm::access::WARP;
use crate::vm::inst::{Count64, Int16, Int32, Int64, Shift64, Slot, WideProduct};

#[inline(always)]
pub(super) fn s(x: u32) -> i32 {
    x as i32
}

/// High word of a signed product.
#[inline(always)]
pub(super) fn mul_hi_s(a: u32, b: u32) -> u32 {
    ((s(a) as i64 * s(b) as i64) >> 32) as u32
}

/// High word of an unsigned product.
#[inline(always)]
pub(super) fn mul_hi_u(a: u32, b: u32) -> u32 {
    ((a as u64 * b as u64) >> 32) as u32
}

// PTX clamps shift counts to the width.
#[inline(always)]
fn shl(a: u32, n: u32) -> u32 {
    if n > 31 { 0 } else { a << (n & 31) }
}

#[inline(always)]
fn shr_u(a: u32, n: u32) -> u32 {
    if n > 31 { 0 } else { a >> (n & 31) }
}

#[inline(always)]
fn shr_s(a: u32, n: u32) -> u32 {
    (s(a) >> n.min(31)) as u32
}

/// Bit field of a 64-bit value that holds `bits` meaningful bits (PTX ISA, bfe).
#[inline(always)]
fn field(a: u64, at: u32, length: u32, bits: u32, signed: bool) -> u64 {
    let (at, length) = (at & 0xff, length & 0xff);
    if length == 0 {
        return 0;
    }
    let sign_at = (at + length - 1).min(bits - 1);
    let fill = signed && a >> sign_at & 1 != 0;
    let value = if at >= bits { 0 } else { a >> at };
    let have = bits.saturating_sub(at).min(length);
    let mask = if have >= 64 { u64::MAX } else { (1u64 << have) - 1 };
    if fill { value & mask | !mask } else { value & mask }
}

/// `b` with `length` bits of `a` inserted at `at` (PTX ISA, bfi).
#[inline(always)]
fn insert(a: u64, b: u64, at: u32, length: u32, bits: u32) -> u64 {
    let (at, length) = (at & 0xff, length & 0xff);
    if at >= bits || length == 0 {
        return b;
    }
    let have = length.min(bits - at);
    let mask = (if have >= 64 { u64::MAX } else { (1u64 << have) - 1 }) << at;
    b & !mask | a << at & mask
}

/// Position of the highest set bit (of the highest bit that differs from the sign); all ones
/// where there is none.
#[inline(always)]
fn find(a: u64, bits: u32, signed: bool, shift: bool) -> u32 {
    let negative = signed && a >> (bits - 1) & 1 != 0;
    let all = if bits == 64 { u64::MAX } else { (1u64 << bits) - 1 };
    let a = if negative { !a & all } else { a & all };
    match (a, shift) {
        (0, _) => u32::MAX,
        (a, false) => 63 - a.leading_zeros(),
        (a, true) => a.leading_zeros() - (64 - bits),
    }
}

/// A byte of the pair `{b, a}` with its sign, as the low three and the fourth bit of `selector` say.
#[inline(always)]
fn pick(a: u32, b: u32, selector: u32) -> u32 {
    let pair = (b as u64) << 32 | a as u64;
    let byte = (pair >> (8 * (selector & 7))) as u8;
    if selector & 8 != 0 { ((byte as i8) >> 7) as u8 as u32 } else { byte as u32 }
}

#[inline(always)]
fn prmt(a: u32, b: u32, selectors: [u32; 4]) -> u32 {
    pick(a, b, selectors[0])
        | pick(a, b, selectors[1]) << 8
        | pick(a, b, selectors[2]) << 16
        | pick(a, b, selectors[3]) << 24
}

#[inline(always)]
fn low24(x: u32, signed: bool) -> i64 {
    if signed { (((x << 8) as i32) >> 8) as i64 } else { (x & 0xff_ffff) as i64 }
}

/// Four products of bytes, summed onto `c`.
#[inline(always)]
fn dot(a: u32, b: u32, c: u32, signed: bool) -> u32 {
    let mut sum = c;
    for byte in 0..4 {
        let (x, y) = (a >> (8 * byte), b >> (8 * byte));
        let product = if signed {
            (x as i8 as i32 * y as i8 as i32) as u32
        } else {
            x as u8 as u32 * y as u8 as u32
        };
        sum = sum.wrapping_add(product);
    }
    sum
}

vectorized! {
/// 32-bit operations.
pub(super) fn int32(r: &mut Registers, mask: u32, f: Int32, d: Slot, a: Slot, b: Slot, c: Slot) {
    let ab = (a, b);
    let abc = (a, b, c);
    match f {
        Int32::Add => r.map2(mask, d, ab, |a, b| a.wrapping_add(b)),
        Int32::Sub => r.map2(mask, d, ab, |a, b| a.wrapping_sub(b)),
        Int32::Mul => r.map2(mask, d, ab, |a, b| a.wrapping_mul(b)),
        Int32::MulHiS => r.map2(mask, d, ab, mul_hi_s),
        Int32::MulHiU => r.map2(mask, d, ab, mul_hi_u),
        Int32::Mad => r.map3(mask, d, abc, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        Int32::MadHiS => r.map3(mask, d, abc, |a, b, c| mul_hi_s(a, b).wrapping_add(c)),
        Int32::MadHiU => r.map3(mask, d, abc, |a, b, c| mul_hi_u(a, b).wrapping_add(c)),
        Int32::MinS => r.map2(mask, d, ab, |a, b| s(a).min(s(b)) as u32),
        Int32::MinU => r.map2(mask, d, ab, |a, b| a.min(b)),
        Int32::MaxS => r.map2(mask, d, ab, |a, b| s(a).max(s(b)) as u32),
        Int32::MaxU => r.map2(mask, d, ab, |a, b| a.max(b)),
        Int32::Neg => r.map1(mask, d, a, |a| a.wrapping_neg()),
        Int32::Abs => r.map1(mask, d, a, |a| s(a).wrapping_abs() as u32),
        Int32::And => r.map2(mask, d, ab, |a, b| a & b),
        Int32::Or => r.map2(mask, d, ab, |a, b| a | b),
        Int32::Xor => r.map2(mask, d, ab, |a, b| a ^ b),
        Int32::Not => r.map1(mask, d, a, |a| !a),
        Int32::Cnot => r.map1(mask, d, a, |a| (a == 0) as u32),
        Int32::Shl => r.map2(mask, d, ab, shl),
        Int32::ShrS => r.map2(mask, d, ab, shr_s),
        Int32::ShrU => r.map2(mask, d, ab, shr_u),
        Int32::BfeS => r.map3(mask, d, abc, |a, b, c| field(a as u64, b, c, 32, true) as u32),
        Int32::BfeU => r.map3(mask, d, abc, |a, b, c| field(a as u64, b, c, 32, false) as u32),
        Int32::Popc => r.map1(mask, d, a, |a| a.count_ones()),
        Int32::Clz => r.map1(mask, d, a, |a| a.leading_zeros()),
        Int32::Brev => r.map1(mask, d, a, |a| a.reverse_bits()),
        Int32::BfindS => r.map1(mask, d, a, |a| find(a as u64, 32, true, false)),
        Int32::BfindU => r.map1(mask, d, a, |a| find(a as u64, 32, false, false)),
        Int32::BfindShiftS => r.map1(mask, d, a, |a| find(a as u64, 32, true, true)),
        Int32::BfindShiftU => r.map1(mask, d, a, |a| find(a as u64, 32, false, true)),
        Int32::Prmt => {
            r.map3(mask, d, abc, |a, b, c| prmt(a, b, [c, c >> 4, c >> 8, c >> 12]))
        }
        Int32::PrmtF4e => r.map3(mask, d, abc, |a, b, c| {
            prmt(a, b, [0, 1, 2, 3].map(|k| ((c & 3) + k) & 7))
        }),
        Int32::PrmtB4e => r.map3(mask, d, abc, |a, b, c| {
            prmt(a, b, [0, 7, 6, 5].map(|k| ((c & 3) + k) & 7))
        }),
        Int32::PrmtRc8 => r.map3(mask, d, abc, |a, b, c| prmt(a, b, [c & 3; 4])),
        Int32::PrmtEcl => r.map3(mask, d, abc, |a, b, c| {
            prmt(a, b, [0, 1, 2, 3].map(|k| k.max(c & 3)))
        }),
        Int32::PrmtEcr => r.map3(mask, d, abc, |a, b, c| {
            prmt(a, b, [0, 1, 2, 3].map(|k| k.min(c & 3)))
        }),
        Int32::PrmtRc16 => r.map3(mask, d, abc, |a, b, c| {
            let at = 2 * (c & 1);
            prmt(a, b, [at, at + 1, at, at + 1])
        }),
        Int32::ShfLeftWrap => r.map3(mask, d, abc, |a, b, c| {
            (((b as u64) << 32 | a as u64) << (c & 31) >> 32) as u32
        }),
        Int32::ShfLeftClamp => r.map3(mask, d, abc, |a, b, c| {
            (((b as u64) << 32 | a as u64) << c.min(32) >> 32) as u32
        }),
        Int32::ShfRightWrap => r.map3(mask, d, abc, |a, b, c| {
            (((b as u64) << 32 | a as u64) >> (c & 31)) as u32
        }),
        Int32::ShfRightClamp => r.map3(mask, d, abc, |a, b, c| {
            (((b as u64) << 32 | a as u64) >> c.min(32)) as u32
        }),
        Int32::AddSat => r.map2(mask, d, ab, |a, b| s(a).saturating_add(s(b)) as u32),
        Int32::SubSat => r.map2(mask, d, ab, |a, b| s(a).saturating_sub(s(b)) as u32),
        Int32::SadS => r.map3(mask, d, abc, |a, b, c| c.wrapping_add(s(a).abs_diff(s(b)))),
        Int32::SadU => r.map3(mask, d, abc, |a, b, c| c.wrapping_add(a.abs_diff(b))),
        Int32::Mul24S => r.map2(mask, d, ab, |a, b| (low24(a, true) * low24(b, true)) as u32),
        Int32::Mul24U => r.map2(mask, d, ab, |a, b| (low24(a, false) * low24(b, false)) as u32),
        Int32::Mad24S => r.map3(mask, d, abc, |a, b, c| {
            ((low24(a, true) * low24(b, true)) as u32).wrapping_add(c)
        }),
        Int32::Mad24U => r.map3(mask, d, abc, |a, b, c| {
            ((low24(a, false) * low24(b, false)) as u32).wrapping_add(c)
        }),
        Int32::Dp4aS => r.map3(mask, d, abc, |a, b, c| dot(a, b, c, true)),
        Int32::Dp4aU => r.map3(mask, d, abc, |a, b, c| dot(a, b, c, false)),
    }
}
}

vectorized! {
/// Any function of three bits, by its truth table.
pub(super) fn lop3(r: &mut Registers, mask: u32, lut: u8, d: Slot, a: Slot, b: Slot, c: Slot) {
    let row = |bit: u32| if lut >> bit & 1 != 0 { u32::MAX } else { 0 };
    let rows = [row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)];
    r.map3(mask, d, (a, b, c), |a, b, c| {
        let low = !b & (!c & rows[0] | c & rows[1]) | b & (!c & rows[2] | c & rows[3]);
        let high = !b & (!c & rows[4] | c & rows[5]) | b & (!c & rows[6] | c & rows[7]);
        !a & low | a & high
    });
}
}

vectorized! {
/// Bit field insertion into 32 bits.
pub(super) fn bfi32(r: &mut Registers, mask: u32, d: Slot, a: Slot, b: Slot, c: Slot, e: Slot) {
    let (a, b, c, e) = (r.word(a), r.word(b), r.word(c), r.word(e));
    let mut out = [0; WARP];
    for lane in 0..WARP {
        out[lane] = insert(a[lane] as u64, b[lane] as u64, c[lane], e[lane], 32) as u32;
    }
    r.set_word(d, &out, mask);
}
}

vectorized! {
/// Bit field insertion into 64 bits.
pub(super) fn bfi64(r: &mut Registers, mask: u32, d: Slot, a: Slot, b: Slot, c: Slot, e: Slot) {
    let (a, b, c, e) = (r.double(a), r.double(b), r.word(c), r.word(e));
    let mut out = [0; WARP];
    for lane in 0..WARP {
        out[lane] = insert(a[lane], b[lane], c[lane], e[lane], 64);
    }
    r.set_double(d, &out, mask);
}
}

#[inline(always)]
pub(super) fn h(x: u32) -> i32 {
    x as i16 as i32
}

vectorized! {
/// 16-bit operations; results are zero extended.
pub(super) fn int16(r: &mut Registers, mask: u32, f: Int16, d: Slot, a: Slot, b: Slot, c: Slot) {
    let ab = (a, b);
    match f {
        Int16::Add => r.map2(mask, d, ab, |a, b| a.wrapping_add(b) & 0xffff),
        Int16::Sub => r.map2(mask, d, ab, |a, b| a.wrapping_sub(b) & 0xffff),
        Int16::Mul => r.map2(mask, d, ab, |a, b| a.wrapping_mul(b) & 0xffff),
        Int16::MulHiS => r.map2(mask, d, ab, |a, b| (h(a) * h(b)) as u32 >> 16),
        Int16::MulHiU => r.map2(mask, d, ab, |a, b| a.wrapping_mul(b) >> 16),
        Int16::Mad => {
            r.map3(mask, d, (a, b, c), |a, b, c| a.wrapping_mul(b).wrapping_add(c) & 0xffff)
        }
        Int16::MinS => r.map2(mask, d, ab, |a, b| h(a).min(h(b)) as u32 & 0xffff),
        Int16::MinU => r.map2(mask, d, ab, |a, b| a.min(b)),
        Int16::MaxS => r.map2(mask, d, ab, |a, b| h(a).max(h(b)) as u32 & 0xffff),
        Int16::MaxU => r.map2(mask, d, ab, |a, b| a.max(b)),
        Int16::Neg => r.map1(mask, d, a, |a| a.wrapping_neg() & 0xffff),
        Int16::Abs => r.map1(mask, d, a, |a| h(a).unsigned_abs() & 0xffff),
        Int16::Not => r.map1(mask, d, a, |a| !a & 0xffff),
        Int16::Cnot => r.map1(mask, d, a, |a| (a == 0) as u32),
        Int16::Shl => r.map2(mask, d, ab, |a, n| shl(a, n.min(16)) & 0xffff),
        Int16::ShrS => r.map2(mask, d, ab, |a, n| (h(a) >> n.min(15)) as u32 & 0xffff),
        Int16::ShrU => r.map2(mask, d, ab, shr_u),
    }
}
}

vectorized! {
/// 64-bit operations.
pub(super) fn int64(r: &mut Registers, mask: u32, f: Int64, d: Slot, a: Slot, b: Slot, c: Slot) {
    let ab = (a, b);
    let abc = (a, b, c);
    let hi_s = |a: u64, b: u64| ((a as i64 as i128 * b as i64 as i128) >> 64) as u64;
    let hi_u = |a: u64, b: u64| ((a as u128 * b as u128) >> 64) as u64;
    match f {
        Int64::Add => r.wide2(mask, d, ab, |a, b| a.wrapping_add(b)),
        Int64::Sub => r.wide2(mask, d, ab, |a, b| a.wrapping_sub(b)),
        Int64::Mul => r.wide2(mask, d, ab, |a, b| a.wrapping_mul(b)),
        Int64::MulHiS => r.wide2(mask, d, ab, hi_s),
        Int64::MulHiU => r.wide2(mask, d, ab, hi_u),
        Int64::Mad => r.wide3(mask, d, abc, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        Int64::MadHiS => r.wide3(mask, d, abc, |a, b, c| hi_s(a, b).wrapping_add(c)),
        Int64::MadHiU => r.wide3(mask, d, abc, |a, b, c| hi_u(a, b).wrapping_add(c)),
        Int64::MinS => r.wide2(mask, d, ab, |a, b| (a as i64).min(b as i64) as u64),
        Int64::MinU => r.wide2(mask, d, ab, |a, b| a.min(b)),
        Int64::MaxS => r.wide2(mask, d, ab, |a, b| (a as i64).max(b as i64) as u64),
        Int64::MaxU => r.wide2(mask, d, ab, |a, b| a.max(b)),
        Int64::Neg => r.wide1(mask, d, a, |a| a.wrapping_neg()),
        Int64::Abs => r.wide1(mask, d, a, |a| (a as i64).wrapping_abs() as u64),
        Int64::And => r.wide2(mask, d, ab, |a, b| a & b),
        Int64::Or => r.wide2(mask, d, ab, |a, b| a | b),
        Int64::Xor => r.wide2(mask, d, ab, |a, b| a ^ b),
        Int64::Not => r.wide1(mask, d, a, |a| !a),
        Int64::Cnot => r.wide1(mask, d, a, |a| (a == 0) as u64),
        Int64::Brev => r.wide1(mask, d, a, |a| a.reverse_bits()),
    }
}
}

vectorized! {
/// 64-bit values shifted by, or cut at, word counts.
pub(super) fn shift64(r: &mut Registers, mask: u32, f: Shift64, d: Slot, a: Slot, b: Slot, c: Slot) {
    let (a, b, c) = (r.double(a), r.word(b), r.word(c));
    let mut out = [0; WARP];
    match f {
        Shift64::Shl => {
            for lane in 0..WARP {
                out[lane] = if b[lane] > 63 { 0 } else { a[lane] << (b[lane] & 63) };
            }
        }
        Shift64::ShrU => {
            for lane in 0..WARP {
                out[lane] = if b[lane] > 63 { 0 } else { a[lane] >> (b[lane] & 63) };
            }
        }
        Shift64::ShrS => {
            for lane in 0..WARP {
                out[lane] = (a[lane] as i64 >> b[lane].min(63)) as u64;
            }
        }
        Shift64::BfeS => {
            for lane in 0..WARP {
                out[lane] = field(a[lane], b[lane], c[lane], 64, true);
            }
        }
        Shift64::BfeU => {
            for lane in 0..WARP {
                out[lane] = field(a[lane], b[lane], c[lane], 64, false);
            }
        }
    }
    r.set_double(d, &out, mask);
}
}

/// Counts bits of 64-bit values.
pub(super) fn count64(r: &mut Registers, mask: u32, f: Count64, d: Slot, a: Slot) {
    let out = r.double(a).map(|a| match f {
        Count64::Popc => a.count_ones(),
        Count64::Clz => a.leading_zeros(),
        Count64::BfindS => find(a, 64, true, false),
        Count64::BfindU => find(a, 64, false, false),
        Count64::BfindShiftS => find(a, 64, true, true),
        Count64::BfindShiftU => find(a, 64, false, true),
    });
    r.set_word(d, &out, mask);
}

vectorized! {
/// 32-bit factors, 64-bit product and addend.
pub(super) fn wide_product(
    r: &mut Registers, mask: u32, f: WideProduct, d: Slot, a: Slot, b: Slot, c: Slot,
) {
    let (a, b, c) = (r.word(a), r.word(b), r.double(c));
    let mut out = [0; WARP];
    match f {
        WideProduct::S32 => {
            for lane in 0..WARP {
                let product = s(a[lane]) as i64 * s(b[lane]) as i64;
                out[lane] = (product as u64).wrapping_add(c[lane]);
            }
        }
        WideProduct::U32 => {
            for lane in 0..WARP {
                out[lane] = (a[lane] as u64 * b[lane] as u64).wrapping_add(c[lane]);
            }
        }
    }
    r.set_double(d, &out, mask);
}
}

/// 16-bit factors, 32-bit product and addend.
pub(super) fn wide_product16(
    r: &mut Registers,
    mask: u32,
    signed: bool,
    d: Slot,
    (a, b, c): (Slot, Slot, Slot),
) {
    r.map3(mask, d, (a, b, c), |a, b, c| {
        let product = if signed { (h(a) * h(b)) as u32 } else { a.wrapping_mul(b) };
        product.wrapping_add(c)
    });
}
