//! Conversions between the scalar types.

use super::functions::{bits32, bits64, flush, round32};
use super::half::{brain_of, from_brain, from_half, half_of, to_brain, to_half};
use super::registers::Registers;
use super::simd::vectorized;
use crate::vm::access::WARP;
use crate::vm::inst::{Convert, ConvertPair, Round, Scalar, Slot};

/// Bits of an integer type, and whether it is signed; `None` for floats.
fn integer(ty: Scalar) -> Option<(u32, bool)> {
    match ty {
        Scalar::U8 => Some((8, false)),
        Scalar::S8 => Some((8, true)),
        Scalar::U16 => Some((16, false)),
        Scalar::S16 => Some((16, true)),
        Scalar::U32 => Some((32, false)),
        Scalar::S32 => Some((32, true)),
        Scalar::U64 => Some((64, false)),
        Scalar::S64 => Some((64, true)),
        Scalar::F16 | Scalar::Bf16 | Scalar::F32 | Scalar::F64 => None,
    }
}

/// The low `bits` of a value, extended to 64.
#[inline(always)]
fn extend(x: u64, bits: u32, signed: bool) -> u64 {
    let unused = 64 - bits;
    if signed { ((x << unused) as i64 >> unused) as u64 } else { x << unused >> unused }
}

fn to_integral(x: f64, round: Round) -> f64 {
    match round {
        Round::Nearest => x.round_ties_even(),
        Round::Zero => x.trunc(),
        Round::Down => x.floor(),
        Round::Up => x.ceil(),
    }
}

/// A float's value; every f16, bf16 and f32 is an f64.
fn widen(x: u64, ty: Scalar, ftz: bool) -> f64 {
    match ty {
        Scalar::F16 => from_half(x as u32) as f64,
        Scalar::Bf16 => from_brain(x as u32) as f64,
        Scalar::F32 => {
            let x = f32::from_bits(x as u32);
            (if ftz { flush(x) } else { x }) as f64
        }
        _ => f64::from_bits(x),
    }
}

/// A float of type `ty` nearest (in the asked direction) to `value + error`.
fn narrow(value: f64, error: f64, ty: Scalar, f: &Convert) -> u64 {
    let value = if f.saturate { if value > 0.0 { value.min(1.0) } else { 0.0 } } else { value };
    let value = if f.relu && value < 0.0 { 0.0 } else { value };
    match ty {
        Scalar::F16 => to_half(value, f.round) as u64,
        Scalar::Bf16 if f.round == Round::Zero => {
            to_brain(round32(value, error, Round::Zero), true) as u64
        }
        Scalar::Bf16 => brain_of(value) as u64,
        Scalar::F32 => {
            let x = round32(value, error, f.round);
            bits32(if f.flush { flush(x) } else { x }) as u64
        }
        _ => {
            let away = match f.round {
                Round::Nearest => 0,
                Round::Zero => -(error * value.signum()).signum() as i32,
                Round::Down => (error < 0.0) as i32,
                Round::Up => (error > 0.0) as i32,
            };
            // `value` is the nearest f64; step over it where it lies on the wrong side.
            let stepped = match f.round {
                Round::Down if away > 0 => value.next_down(),
                Round::Up if away > 0 => value.next_up(),
                Round::Zero if away > 0 && error != 0.0 => {
                    if value > 0.0 {
                        value.next_down()
                    } else {
                        value.next_up()
                    }
                }
                _ => value,
            };
            bits64(stepped)
        }
    }
}

fn float_to_integer(x: f64, f: &Convert, bits: u32, signed: bool) -> u64 {
    if x.is_nan() {
        // PTX ISA, cvt: zero, but the middle of the range where 64 bits are involved.
        return if f.from == Scalar::F64 || bits == 64 { 1 << (bits - 1) } else { 0 };
    }
    let x = to_integral(x, f.round);
    // Casts of Rust clamp; narrower types clamp after.
    match (bits, signed) {
        (64, true) => x as i64 as u64,
        (64, false) => x as u64,
        (_, true) => (x as i64).clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) as u64,
        (_, false) => (x as u64).min((1 << bits) - 1),
    }
}

fn one(x: u64, f: &Convert) -> u64 {
    match (integer(f.from), integer(f.to)) {
        (Some((bits, signed)), Some((to_bits, to_signed))) => {
            let x = extend(x, bits, signed);
            if !f.saturate {
                return extend(x, to_bits, to_signed);
            }
            let value = if signed { x as i64 as i128 } else { x as i128 };
            let (low, high) = match to_signed {
                true => (-(1i128 << (to_bits - 1)), (1i128 << (to_bits - 1)) - 1),
                false => (0, (1i128 << to_bits) - 1),
            };
            value.clamp(low, high) as u64
        }
        (Some((bits, signed)), None) => {
            let x = extend(x, bits, signed);
            let exact = if signed { x as i64 as i128 } else { x as i128 };
            let value = exact as f64;
            narrow(value, (exact - value as i128) as f64, f.to, f)
        }
        (None, Some((bits, signed))) => {
            float_to_integer(widen(x, f.from, f.flush), f, bits, signed)
        }
        (None, None) => {
            let x = widen(x, f.from, f.flush);
            let x = if f.integral { to_integral(x, f.round) } else { x };
            narrow(x, 0.0, f.to, f)
        }
    }
}

vectorized! {
/// The conversions that kernels use most, over all lanes at once; false where there is no such.
fn common(r: &mut Registers, mask: u32, f: Convert, d: Slot, a: Slot) -> bool {
    use Scalar::{Bf16, F32, F64, S16, S32, S64, U16, U32, U64};
    let plain = !f.saturate && !f.relu && !f.flush;
    if !plain {
        if (f.from, f.to, f.integral, f.relu, f.flush) == (F32, F32, false, false, false) {
            r.map1(mask, d, a, |a| {
                let x = f32::from_bits(a);
                let x = if x > 0.0 { x } else { 0.0 };
                if x > 1.0 { 1f32.to_bits() } else { x.to_bits() }
            });
            return true;
        }
        return false;
    }
    match (f.from, f.to, f.wide_from, f.wide_to) {
        (S32, S64 | U64, false, true) => {
            let a = r.word(a);
            let mut out = [0; WARP];
            for lane in 0..WARP {
                out[lane] = a[lane] as i32 as i64 as u64;
            }
            r.set_double(d, &out, mask);
        }
        (U32, S64 | U64, false, true) => {
            let a = r.word(a);
            let mut out = [0; WARP];
            for lane in 0..WARP {
                out[lane] = a[lane] as u64;
            }
            r.set_double(d, &out, mask);
        }
        (S64 | U64, S32 | U32, true, false) => {
            let a = r.double(a);
            let mut out = [0; WARP];
            for lane in 0..WARP {
                out[lane] = a[lane] as u32;
            }
            r.set_word(d, &out, mask);
        }
        (U16, U32 | S32, false, false) => r.map1(mask, d, a, |a| a & 0xffff),
        (S16, S32 | U32, false, false) => r.map1(mask, d, a, |a| a as i16 as i32 as u32),
        (U32 | S32, U16, false, false) => r.map1(mask, d, a, |a| a & 0xffff),
        (S32, F32, false, false) if f.round == Round::Nearest => {
            r.map1(mask, d, a, |a| (a as i32 as f32).to_bits());
        }
        (U32, F32, false, false) if f.round == Round::Nearest => {
            r.map1(mask, d, a, |a| (a as f32).to_bits());
        }
        (F32, Bf16, false, false) if f.round == Round::Nearest => {
            r.map1(mask, d, a, |a| to_brain(f32::from_bits(a), false));
        }
        (Bf16, F32, false, false) => r.map1(mask, d, a, |a| bits32(from_brain(a))),
        (F32, F32, false, false) if f.integral && f.round == Round::Nearest => {
            r.map1(mask, d, a, |a| bits32(f32::from_bits(a).round_ties_even()));
        }
        (F32, F64, false, true) => {
            let a = r.word(a);
            let mut out = [0; WARP];
            for lane in 0..WARP {
                out[lane] = bits64(f32::from_bits(a[lane]) as f64);
            }
            r.set_double(d, &out, mask);
        }
        (F64, F32, true, false) if f.round == Round::Nearest => {
            let a = r.double(a);
            let mut out = [0; WARP];
            for lane in 0..WARP {
                out[lane] = bits32(f64::from_bits(a[lane]) as f32);
            }
            r.set_word(d, &out, mask);
        }
        _ => return false,
    }
    true
}
}

/// Any conversion.
pub(super) fn convert(r: &mut Registers, mask: u32, f: Convert, d: Slot, a: Slot) {
    if common(r, mask, f, d, a) {
        return;
    }
    let mut values = [0; WARP];
    if f.wide_from {
        values = *r.double(a);
    } else {
        for (to, &from) in values.iter_mut().zip(r.word(a)) {
            *to = from as u64;
        }
    }
    for value in &mut values {
        *value = one(*value, &f);
    }
    if f.wide_to {
        r.set_double(d, &values, mask);
    } else {
        // A result in a 16-bit register is kept zero extended.
        let short = matches!(f.to, Scalar::U16 | Scalar::S16 | Scalar::F16 | Scalar::Bf16);
        let keep = if short { 0xffff } else { u32::MAX };
        r.set_word(d, &values.map(|x| x as u32 & keep), mask);
    }
}

vectorized! {
/// Two f32 to one word of halves; `a` becomes the upper.
pub(super) fn convert_pair(
    r: &mut Registers, mask: u32, f: ConvertPair, d: Slot, a: Slot, b: Slot,
) {
    let get = f32::from_bits;
    if f.brain && !f.relu {
        let truncate = f.truncate;
        if truncate {
            r.map2(mask, d, (a, b), |a, b| to_brain(get(a), true) << 16 | to_brain(get(b), true));
        } else {
            r.map2(mask, d, (a, b), |a, b| to_brain(get(a), false) << 16 | to_brain(get(b), false));
        }
        return;
    }
    let narrow = |x: f32| {
        let x = if f.relu && x < 0.0 { 0.0 } else { x };
        match f.brain {
            true => to_brain(x, f.truncate),
            false => half_of(x, if f.truncate { Round::Zero } else { Round::Nearest }),
        }
    };
    r.map2(mask, d, (a, b), |a, b| narrow(get(a)) << 16 | narrow(get(b)));
}
}

/// f32 to the 19 bits of tf32, ties away from zero.
pub(super) fn convert_tf32(r: &mut Registers, mask: u32, d: Slot, a: Slot, relu: bool) {
    r.map1(mask, d, a, |a| {
        let x = f32::from_bits(a);
        if x.is_nan() {
            0x7fff_ffff
        } else if x.is_infinite() {
            a
        } else if relu && x < 0.0 {
            0
        } else {
            a.wrapping_add(0x1000) & 0xffff_e000
        }
    });
}
