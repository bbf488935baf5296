//! Scalar arithmetic that Rust does not have: PTX's minimum and maximum, directed rounding, and
//! the approximate functions.
//!
//! The approximate functions are computed in f64 and rounded to f32: at most an ulp from the
//! exact value, well inside what PTX documents for the hardware (ex2: 2 ulp; lg2: 2^-22; rcp and
//! rsqrt: 1 and 2 ulp; sin and cos: 2^-20 absolute; tanh: 2^-11). The hardware's bits may differ.

use crate::vm::inst::Round;

/// The one NaN that f32 arithmetic of the hardware gives.
pub(super) const NAN32: u32 = 0x7fff_ffff;

/// The one NaN that f64 arithmetic of the hardware gives.
pub(super) const NAN64: u64 = 0xfff8_0000_0000_0000;

/// Subnormal to zero of the same sign.
#[inline(always)]
pub(super) fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { f32::from_bits(x.to_bits() & 0x8000_0000) } else { x }
}

/// Bits of an f32 result.
#[inline(always)]
pub(super) fn bits32(x: f32) -> u32 {
    if x.is_nan() { NAN32 } else { x.to_bits() }
}

/// Bits of an f64 result.
#[inline(always)]
pub(super) fn bits64(x: f64) -> u64 {
    if x.is_nan() { NAN64 } else { x.to_bits() }
}

/// Lesser; a number rather than NaN; -0 below +0.
#[inline(always)]
pub(super) fn min32(a: f32, b: f32) -> f32 {
    let equal = f32::from_bits(a.to_bits() | b.to_bits());
    let least = if a < b { a } else { b };
    let least = if a == b { equal } else { least };
    if b.is_nan() { a } else { least }
}

/// Greater; a number rather than NaN; +0 above -0.
#[inline(always)]
pub(super) fn max32(a: f32, b: f32) -> f32 {
    let equal = f32::from_bits(a.to_bits() & b.to_bits());
    let most = if a > b { a } else { b };
    let most = if a == b { equal } else { most };
    if b.is_nan() { a } else { most }
}

/// As [`min32`].
#[inline(always)]
pub(super) fn min64(a: f64, b: f64) -> f64 {
    let equal = f64::from_bits(a.to_bits() | b.to_bits());
    let least = if a < b { a } else { b };
    let least = if a == b { equal } else { least };
    if b.is_nan() { a } else { least }
}

/// As [`max32`].
#[inline(always)]
pub(super) fn max64(a: f64, b: f64) -> f64 {
    let equal = f64::from_bits(a.to_bits() & b.to_bits());
    let most = if a > b { a } else { b };
    let most = if a == b { equal } else { most };
    if b.is_nan() { a } else { most }
}

/// The f32 above.
#[inline(always)]
fn above(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(match bits {
        0x8000_0000 | 0 => 1,
        _ if bits >> 31 == 0 => bits + 1,
        _ => bits - 1,
    })
}

/// The f32 below.
#[inline(always)]
fn below(x: f32) -> f32 {
    -above(-x)
}

/// `value + error` to f32, where `value` is the f64 nearest to the exact sum and `error`, of
/// which only the sign matters, is what it lacks. Right because rounding to f64 is monotone and
/// every f32 is an f64.
#[inline(always)]
pub(super) fn round32(value: f64, error: f64, round: Round) -> f32 {
    let nearest = value as f32;
    let wide = nearest as f64;
    let over = wide > value || wide == value && error < 0.0;
    let under = wide < value || wide == value && error > 0.0;
    let (down, up) = match round {
        Round::Nearest => (false, false),
        Round::Down => (true, false),
        Round::Up => (false, true),
        Round::Zero => (value > 0.0, value < 0.0),
    };
    if value.is_nan() || value.is_infinite() {
        nearest
    } else if down && over {
        below(nearest)
    } else if up && under {
        above(nearest)
    } else {
        nearest
    }
}

/// `a * b + c` with one rounding in the given direction.
#[inline(always)]
pub(super) fn fma32(a: f32, b: f32, c: f32, round: Round) -> f32 {
    let (product, c) = (a as f64 * b as f64, c as f64);
    let sum = product + c;
    // Knuth's two-sum: what `sum` lacks, exactly.
    let part = sum - product;
    let error = (product - (sum - part)) + (c - part);
    if sum == 0.0 && round == Round::Down {
        let positive = product.to_bits() | c.to_bits();
        return if positive == 0 { 0.0 } else { -0.0 };
    }
    round32(sum, error, round)
}

/// `a * b` with the given rounding.
#[inline(always)]
pub(super) fn mul32(a: f32, b: f32, round: Round) -> f32 {
    round32(a as f64 * b as f64, 0.0, round)
}

/// `a / b` with the given rounding.
pub(super) fn div32(a: f32, b: f32, round: Round) -> f32 {
    let (a, b) = (a as f64, b as f64);
    let quotient = a / b;
    if !quotient.is_finite() || b.is_infinite() {
        return quotient as f32;
    }
    let rest = (-quotient).mul_add(b, a);
    round32(quotient, if b < 0.0 { -rest } else { rest }, round)
}

/// Square root with the given rounding.
pub(super) fn sqrt32(a: f32, round: Round) -> f32 {
    let a = a as f64;
    let root = a.sqrt();
    if !root.is_finite() {
        return root as f32;
    }
    round32(root, (-root).mul_add(root, a), round)
}

const LN_2: f64 = std::f64::consts::LN_2;

/// Coefficients of `2^x` about 0.
const EXP2: [f64; 12] = {
    let mut terms = [1.0; 12];
    let mut n = 1;
    while n < 12 {
        terms[n] = terms[n - 1] * LN_2 / n as f64;
        n += 1;
    }
    terms
};

/// `2^x`.
#[inline(always)]
pub(super) fn exp2(x: f32) -> f32 {
    // Adding this leaves the nearest integer in the low bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    // Beyond these the result is zero or infinite anyway, and 2^n stays a normal f64.
    let clamped = if x > 200.0 { 200.0 } else { x };
    let clamped = if clamped < -200.0 { -200.0 } else { clamped };
    let wide = clamped as f64;
    let shifted = wide + SHIFT;
    let rest = wide - (shifted - SHIFT);
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    let mut sum = EXP2[11];
    for n in (0..11).rev() {
        sum = sum * rest + EXP2[n];
    }
    let result = (sum * scale) as f32;
    if x.is_nan() { x } else { result }
}

/// `log2(x)`.
#[inline(always)]
pub(super) fn log2(x: f32) -> f32 {
    let wide = x as f64;
    let bits = wide.to_bits();
    // Mantissa in [sqrt(1/2), sqrt(2)).
    const ROOT: u64 = std::f64::consts::SQRT_2.to_bits();
    let high = (bits & 0x000f_ffff_ffff_ffff) > (ROOT & 0x000f_ffff_ffff_ffff);
    let exponent = (bits >> 52) as i32 - 1023 + high as i32;
    let bias = if high { 1022u64 } else { 1023 };
    let mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | bias << 52);
    // log(m) = 2 artanh((m - 1) / (m + 1))
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut sum = 1.0 / 19.0;
    for n in (0..9).rev() {
        sum = sum * square + 1.0 / (2 * n + 1) as f64;
    }
    let result = (exponent as f64 + 2.0 / LN_2 * t * sum) as f32;
    let result = if x == 0.0 { f32::NEG_INFINITY } else { result };
    let result = if x == f32::INFINITY { x } else { result };
    if x < 0.0 || x.is_nan() { f32::NAN } else { result }
}

/// `1 / sqrt(x)`.
#[inline(always)]
pub(super) fn rsqrt(x: f32) -> f32 {
    (1.0 / (x as f64).sqrt()) as f32
}
