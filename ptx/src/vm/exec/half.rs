//! f16 and bf16: conversions of their bits, and arithmetic, one or two to a word.

use super::functions::{exp2, max32, min32, round32};
use super::registers::Registers;
use crate::vm::inst::{Half, HalfType, Round, Slot};

/// bf16 to f32, exact.
#[inline(always)]
pub(super) fn from_brain(x: u32) -> f32 {
    f32::from_bits(x << 16)
}

/// f32 to bf16 bits; NaN becomes the hardware's.
#[inline(always)]
pub(super) fn to_brain(x: f32, truncate: bool) -> u32 {
    let bits = x.to_bits();
    let rounded = if truncate { bits } else { bits.wrapping_add(0x7fff + (bits >> 16 & 1)) };
    if x.is_nan() { 0x7fff } else { rounded >> 16 }
}

/// f16 to f32, exact.
#[inline(always)]
pub(super) fn from_half(x: u32) -> f32 {
    let sign = (x & 0x8000) << 16;
    let magnitude = x & 0x7fff;
    // Exponents shift by 112; a product with 2^112 also normalises what was subnormal.
    let scaled = f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23);
    let special = f32::from_bits(magnitude << 13 | 0x7f80_0000);
    let value = if magnitude >= 0x7c00 { special } else { scaled };
    f32::from_bits(value.to_bits() | sign)
}

/// An f64 to f16 bits with one rounding.
pub(super) fn to_half(x: f64, round: Round) -> u32 {
    let sign = ((x.to_bits() >> 48) & 0x8000) as u32;
    let magnitude = x.abs();
    if x.is_nan() {
        return 0x7fff;
    }
    // Whether what is cut off makes the magnitude grow.
    let away = match round {
        Round::Up => sign == 0,
        Round::Down => sign != 0,
        Round::Nearest | Round::Zero => false,
    };
    if magnitude.is_infinite() {
        return sign | 0x7c00;
    }
    // In units of the last place: 2^-24 for subnormals, else 10 bits below the exponent.
    let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(-14);
    let unit = f64::from_bits(((exponent - 10 + 1023) as u64) << 52);
    let scaled = magnitude / unit;
    let floor = scaled.floor();
    let units = match round {
        Round::Nearest => scaled.round_ties_even(),
        _ if away && scaled > floor => floor + 1.0,
        _ => floor,
    };
    // A carry out of the mantissa steps the exponent by itself; overflow is told apart below.
    let bits = if exponent == -14 {
        units as u32
    } else {
        (((exponent + 15) as u32) << 10).wrapping_add(units as u32).wrapping_sub(1 << 10)
    };
    let over = exponent > 15 || bits >= 0x7c00;
    match (over, round) {
        (false, _) => sign | bits,
        (true, Round::Nearest) => sign | 0x7c00,
        (true, _) if away => sign | 0x7c00,
        (true, _) => sign | 0x7bff,
    }
}

/// The product and sum of halves, exact in f64 but for one rounding that cannot tip the second:
/// a product has at most 22 bits.
fn fused(f: Half, a: f32, b: f32, c: f32) -> (f64, f64) {
    let product = if matches!(f, Half::Fma | Half::FmaRelu | Half::Mul) {
        a as f64 * b as f64
    } else {
        a as f64
    };
    let addend = match f {
        Half::Fma | Half::FmaRelu => c as f64,
        Half::Add => b as f64,
        Half::Sub => -b as f64,
        _ => -0.0,
    };
    let sum = product + addend;
    let part = sum - product;
    (sum, (product - (sum - part)) + (addend - part))
}

/// The f64 of odd last bit next to an inexact sum, so that a second rounding is right.
fn to_odd(sum: f64, error: f64) -> f64 {
    if error == 0.0 || error.is_nan() || sum.to_bits() & 1 != 0 {
        return sum;
    }
    let toward_larger_magnitude = (error > 0.0) == (sum > 0.0);
    f64::from_bits(if toward_larger_magnitude { sum.to_bits() + 1 } else { sum.to_bits() - 1 })
}

fn one(f: Half, brain: bool, saturate: bool, a: u32, b: u32, c: u32) -> u32 {
    let wide = |x: u32| if brain { from_brain(x) } else { from_half(x) };
    let narrow = |x: f64| {
        if brain { brain_of(x) } else { to_half(x, Round::Nearest) }
    };
    let (x, y) = (wide(a), wide(b));
    let nan = x.is_nan() || y.is_nan();
    let result = match f {
        Half::Neg => return a ^ 0x8000,
        Half::Abs => return a & 0x7fff,
        Half::Min => narrow(min32(x, y) as f64),
        Half::Max => narrow(max32(x, y) as f64),
        Half::MinNan => narrow(if nan { f64::NAN } else { min32(x, y) as f64 }),
        Half::MaxNan => narrow(if nan { f64::NAN } else { max32(x, y) as f64 }),
        Half::Ex2 => narrow(exp2(x) as f64),
        Half::Tanh => narrow((x as f64).tanh()),
        Half::Add | Half::Sub | Half::Mul | Half::Fma | Half::FmaRelu => {
            let (sum, error) = fused(f, x, y, wide(c));
            let sum = if f == Half::FmaRelu && sum < 0.0 { 0.0 } else { to_odd(sum, error) };
            let sum = match saturate {
                true if sum > 1.0 => 1.0,
                true if sum > 0.0 => sum,
                true => 0.0,
                false => sum,
            };
            narrow(sum)
        }
    };
    result & 0xffff
}

/// An f64 to bf16 bits with one rounding to nearest: by way of an f32 rounded to odd, which keeps
/// enough bits for the second rounding to be right.
pub(super) fn brain_of(x: f64) -> u32 {
    let toward_zero = round32(x, 0.0, Round::Zero);
    let inexact = toward_zero as f64 != x && x.is_finite();
    let odd = f32::from_bits(toward_zero.to_bits() | inexact as u32);
    to_brain(odd, false)
}

/// An f32 to f16 bits.
#[inline(always)]
pub(super) fn half_of(x: f32, round: Round) -> u32 {
    to_half(x as f64, round)
}

/// Arithmetic on halves.
pub(super) fn half(
    r: &mut Registers,
    mask: u32,
    (f, ty, saturate): (Half, HalfType, bool),
    d: Slot,
    (a, b, c): (Slot, Slot, Slot),
) {
    let brain = matches!(ty, HalfType::Bf16 | HalfType::Bf16x2);
    let pair = matches!(ty, HalfType::F16x2 | HalfType::Bf16x2);
    r.map3(mask, d, (a, b, c), |a, b, c| {
        let low = one(f, brain, saturate, a & 0xffff, b & 0xffff, c & 0xffff);
        if pair { one(f, brain, saturate, a >> 16, b >> 16, c >> 16) << 16 | low } else { low }
    });
}
