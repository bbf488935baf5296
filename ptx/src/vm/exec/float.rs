//! f32 and f64 arithmetic.

use super::functions::{
    bits32, bits64, div32, exp2, flush, fma32, log2, max32, max64, min32, min64, mul32, rsqrt,
    sqrt32,
};
use super::registers::{Registers, ballot};
use super::simd::vectorized;
use crate::vm::access::WARP;
use crate::vm::inst::{Float32, Float64, Round, Slot, Test};

/// Clamped to [0, 1]; NaN becomes 0.
#[inline(always)]
fn saturated(x: f32) -> f32 {
    let x = if x > 0.0 { x } else { 0.0 };
    if x > 1.0 { 1.0 } else { x }
}

/// One pass over the lanes, with the flushes and the saturation that were asked for compiled into
/// separate loops: the common case has neither.
#[inline(always)]
fn lanes3(
    r: &mut Registers,
    mask: u32,
    (ftz, saturate): (bool, bool),
    d: Slot,
    (a, b, c): (Slot, Slot, Slot),
    f: impl Fn(f32, f32, f32) -> f32,
) {
    let get = f32::from_bits;
    match (ftz, saturate) {
        (false, false) => {
            r.map3(mask, d, (a, b, c), |a, b, c| bits32(f(get(a), get(b), get(c))));
        }
        _ => r.map3(mask, d, (a, b, c), |a, b, c| {
            let clean = |x: u32| if ftz { flush(get(x)) } else { get(x) };
            let result = f(clean(a), clean(b), clean(c));
            let result = if ftz { flush(result) } else { result };
            bits32(if saturate { saturated(result) } else { result })
        }),
    }
}

vectorized! {
/// f32 operations, rounded to nearest.
pub(super) fn float32(
    r: &mut Registers, mask: u32, f: Float32, ftz: bool, saturate: bool,
    d: Slot, a: Slot, b: Slot, c: Slot,
) {
    let mode = (ftz, saturate);
    let one = (a, a, a);
    let two = (a, b, b);
    match f {
        Float32::Add => lanes3(r, mask, mode, d, two, |a, b, _| a + b),
        Float32::Sub => lanes3(r, mask, mode, d, two, |a, b, _| a - b),
        Float32::Mul => lanes3(r, mask, mode, d, two, |a, b, _| a * b),
        Float32::Fma => lanes3(r, mask, mode, d, (a, b, c), |a, b, c| a.mul_add(b, c)),
        Float32::Div => lanes3(r, mask, mode, d, two, |a, b, _| a / b),
        Float32::Min => lanes3(r, mask, mode, d, two, |a, b, _| min32(a, b)),
        Float32::Max => lanes3(r, mask, mode, d, two, |a, b, _| max32(a, b)),
        Float32::MinNan => lanes3(r, mask, mode, d, two, |a, b, _| {
            if a.is_nan() || b.is_nan() { f32::NAN } else { min32(a, b) }
        }),
        Float32::MaxNan => lanes3(r, mask, mode, d, two, |a, b, _| {
            if a.is_nan() || b.is_nan() { f32::NAN } else { max32(a, b) }
        }),
        // Signs are bits, whatever the rest is; a flush still applies.
        Float32::Neg => r.map1(mask, d, a, |a| clean_bits(a, ftz) ^ 0x8000_0000),
        Float32::Abs => r.map1(mask, d, a, |a| clean_bits(a, ftz) & 0x7fff_ffff),
        Float32::Copysign => r.map2(mask, d, (a, b), |a, b| a & 0x8000_0000 | b & 0x7fff_ffff),
        Float32::Sqrt => lanes3(r, mask, mode, d, one, |a, _, _| a.sqrt()),
        Float32::Rcp => lanes3(r, mask, mode, d, one, |a, _, _| 1.0 / a),
        Float32::Rsqrt => lanes3(r, mask, mode, d, one, |a, _, _| rsqrt(a)),
        Float32::Ex2 => lanes3(r, mask, mode, d, one, |a, _, _| exp2(a)),
        Float32::Lg2 => lanes3(r, mask, mode, d, one, |a, _, _| log2(a)),
        Float32::Sin => lanes3(r, mask, mode, d, one, |a, _, _| (a as f64).sin() as f32),
        Float32::Cos => lanes3(r, mask, mode, d, one, |a, _, _| (a as f64).cos() as f32),
        Float32::Tanh => lanes3(r, mask, mode, d, one, |a, _, _| (a as f64).tanh() as f32),
    }
}
}

#[inline(always)]
fn clean_bits(x: u32, ftz: bool) -> u32 {
    if ftz && x & 0x7f80_0000 == 0 { x & 0x8000_0000 } else { x }
}

vectorized! {
/// f32 operations with a directed rounding.
pub(super) fn directed32(
    r: &mut Registers, mask: u32, f: Float32, round: Round, ftz: bool, saturate: bool,
    d: Slot, a: Slot, b: Slot, c: Slot,
) {
    let mode = (ftz, saturate);
    match (f, round) {
        (Float32::Fma, Round::Down) => {
            lanes3(r, mask, mode, d, (a, b, c), |a, b, c| fma32(a, b, c, Round::Down));
        }
        (Float32::Fma, _) => {
            lanes3(r, mask, mode, d, (a, b, c), |a, b, c| fma32(a, b, c, round));
        }
        (Float32::Add, _) => {
            lanes3(r, mask, mode, d, (a, b, b), |a, b, _| fma32(a, 1.0, b, round));
        }
        (Float32::Sub, _) => {
            lanes3(r, mask, mode, d, (a, b, b), |a, b, _| fma32(a, 1.0, -b, round));
        }
        (Float32::Mul, _) => lanes3(r, mask, mode, d, (a, b, b), |a, b, _| mul32(a, b, round)),
        (Float32::Div, _) => lanes3(r, mask, mode, d, (a, b, b), |a, b, _| div32(a, b, round)),
        (Float32::Rcp, _) => lanes3(r, mask, mode, d, (a, a, a), |a, _, _| div32(1.0, a, round)),
        (_, _) => lanes3(r, mask, mode, d, (a, a, a), |a, _, _| sqrt32(a, round)),
    }
}
}

vectorized! {
/// f64 operations, rounded to nearest.
pub(super) fn float64(
    r: &mut Registers, mask: u32, f: Float64, d: Slot, a: Slot, b: Slot, c: Slot,
) {
    let get = f64::from_bits;
    match f {
        Float64::Add => r.wide2(mask, d, (a, b), |a, b| bits64(get(a) + get(b))),
        Float64::Sub => r.wide2(mask, d, (a, b), |a, b| bits64(get(a) - get(b))),
        Float64::Mul => r.wide2(mask, d, (a, b), |a, b| bits64(get(a) * get(b))),
        Float64::Fma => {
            r.wide3(mask, d, (a, b, c), |a, b, c| bits64(get(a).mul_add(get(b), get(c))));
        }
        Float64::Div => r.wide2(mask, d, (a, b), |a, b| bits64(get(a) / get(b))),
        Float64::Min => r.wide2(mask, d, (a, b), |a, b| bits64(min64(get(a), get(b)))),
        Float64::Max => r.wide2(mask, d, (a, b), |a, b| bits64(max64(get(a), get(b)))),
        Float64::Neg => r.wide1(mask, d, a, |a| a ^ 1 << 63),
        Float64::Abs => r.wide1(mask, d, a, |a| a & !(1 << 63)),
        Float64::Copysign => r.wide2(mask, d, (a, b), |a, b| a & 1 << 63 | b & !(1 << 63)),
        Float64::Sqrt => r.wide1(mask, d, a, |a| bits64(get(a).sqrt())),
        Float64::Rcp => r.wide1(mask, d, a, |a| bits64(1.0 / get(a))),
        Float64::Rsqrt => r.wide1(mask, d, a, |a| bits64(1.0 / get(a).sqrt())),
        // PTX defines the low word of the result as zero.
        Float64::RcpApprox => r.wide1(mask, d, a, |a| approximate(1.0 / flush64(get(a)))),
        Float64::RsqrtApprox => {
            r.wide1(mask, d, a, |a| approximate(1.0 / flush64(get(a)).sqrt()));
        }
    }
}
}

#[inline(always)]
fn flush64(x: f64) -> f64 {
    if x.abs() < f64::MIN_POSITIVE { f64::from_bits(x.to_bits() & 1 << 63) } else { x }
}

#[inline(always)]
fn approximate(x: f64) -> u64 {
    bits64(flush64(x)) & 0xffff_ffff_0000_0000
}

/// `testp`.
pub(super) fn test(r: &mut Registers, mask: u32, f: Test, wide: bool, d: Slot, a: Slot) {
    // An f32 as f64 keeps its class but for subnormals, which are told by their own bits.
    let class = |lane: usize| {
        let (x, subnormal) = if wide {
            let x = f64::from_bits(r.double(a)[lane]);
            (x, x.is_subnormal())
        } else {
            let x = f32::from_bits(r.word(a)[lane]);
            (x as f64, x.is_subnormal())
        };
        match f {
            Test::Finite => x.is_finite(),
            Test::Infinite => x.is_infinite(),
            Test::Number => !x.is_nan(),
            Test::NotANumber => x.is_nan(),
            Test::Normal => x.is_finite() && x != 0.0 && !subnormal,
            Test::Subnormal => subnormal,
        }
    };
    let value = ballot(class);
    r.set_predicate(d, value, mask);
}

/// `slct`: one of two values by the sign of a third.
pub(super) fn select_sign(
    r: &mut Registers,
    mask: u32,
    (float, wide): (bool, bool),
    d: Slot,
    (a, b, c): (Slot, Slot, Slot),
) {
    let c = *r.word(c);
    let first = ballot(|lane| match float {
        true => f32::from_bits(c[lane]) >= 0.0,
        false => c[lane] as i32 >= 0,
    });
    if wide {
        let (x, y) = (*r.double(a), *r.double(b));
        r.set_double(d, &y, mask & !first);
        r.set_double(d, &x, mask & first);
    } else {
        let (x, y) = (*r.word(a), *r.word(b));
        r.set_word(d, &y, mask & !first);
        r.set_word(d, &x, mask & first);
    }
}

vectorized! {
/// `selp`: `a` in the lanes of `first`.
pub(super) fn select32(r: &mut Registers, mask: u32, d: Slot, a: Slot, b: Slot, first: u32) {
    let (a, b) = (r.word(a), r.word(b));
    let mut out = [0; WARP];
    for lane in 0..WARP {
        out[lane] = if first >> lane & 1 != 0 { a[lane] } else { b[lane] };
    }
    r.set_word(d, &out, mask);
}
}

vectorized! {
/// `selp` on 64 bits.
pub(super) fn select64(r: &mut Registers, mask: u32, d: Slot, a: Slot, b: Slot, first: u32) {
    let (a, b) = (r.double(a), r.double(b));
    let mut out = [0; WARP];
    for lane in 0..WARP {
        out[lane] = if first >> lane & 1 != 0 { a[lane] } else { b[lane] };
    }
    r.set_double(d, &out, mask);
}
}
