//! Comparisons and predicates.

use super::functions::flush;
use super::half::{from_brain, from_half};
use super::registers::{Registers, ballot};
use super::simd::vectorized;
use crate::vm::access::WARP;
use crate::vm::inst::{Combine, Compare, CompareType, Logic, Pred, Slot};

#[inline(always)]
#[expect(clippy::double_comparisons, reason = "`!=` holds for a NaN, the ordered `ne` does not")]
fn ordered<T: PartialOrd + Copy>(cmp: Compare, a: &[T; WARP], b: &[T; WARP]) -> u32 {
    match cmp {
        Compare::Eq => ballot(|i| a[i] == b[i]),
        Compare::Ne => ballot(|i| a[i] < b[i] || a[i] > b[i]),
        Compare::Lt => ballot(|i| a[i] < b[i]),
        Compare::Le => ballot(|i| a[i] <= b[i]),
        Compare::Gt => ballot(|i| a[i] > b[i]),
        Compare::Ge => ballot(|i| a[i] >= b[i]),
        // The unordered forms are the complements of the ordered opposites.
        Compare::Equ => !ballot(|i| a[i] < b[i] || a[i] > b[i]),
        Compare::Neu => !ballot(|i| a[i] == b[i]),
        Compare::Ltu => !ballot(|i| a[i] >= b[i]),
        Compare::Leu => !ballot(|i| a[i] > b[i]),
        Compare::Gtu => !ballot(|i| a[i] <= b[i]),
        Compare::Geu => !ballot(|i| a[i] < b[i]),
        Compare::Num => ballot(|i| a[i] <= b[i] || a[i] > b[i]),
        Compare::Nan => !ballot(|i| a[i] <= b[i] || a[i] > b[i]),
    }
}

#[inline(always)]
fn each<A: Copy, B: Copy + Default>(x: &[A; WARP], f: impl Fn(A) -> B) -> [B; WARP] {
    let mut out = [B::default(); WARP];
    for lane in 0..WARP {
        out[lane] = f(x[lane]);
    }
    out
}

vectorized! {
/// Lanes for which a comparison holds.
pub(super) fn compare(r: &Registers, ty: CompareType, cmp: Compare, a: Slot, b: Slot) -> u32 {
    match ty {
        CompareType::U32 => ordered(cmp, r.word(a), r.word(b)),
        CompareType::S32 => {
            ordered(cmp, &each(r.word(a), |x| x as i32), &each(r.word(b), |x| x as i32))
        }
        CompareType::S16 => {
            ordered(cmp, &each(r.word(a), |x| x as i16), &each(r.word(b), |x| x as i16))
        }
        CompareType::U64 => ordered(cmp, r.double(a), r.double(b)),
        CompareType::S64 => {
            ordered(cmp, &each(r.double(a), |x| x as i64), &each(r.double(b), |x| x as i64))
        }
        CompareType::F32 => {
            ordered(cmp, &each(r.word(a), f32::from_bits), &each(r.word(b), f32::from_bits))
        }
        CompareType::F32Ftz => {
            let get = |x| flush(f32::from_bits(x));
            ordered(cmp, &each(r.word(a), get), &each(r.word(b), get))
        }
        CompareType::F64 => {
            ordered(cmp, &each(r.double(a), f64::from_bits), &each(r.double(b), f64::from_bits))
        }
        CompareType::F16 => ordered(cmp, &each(r.word(a), from_half), &each(r.word(b), from_half)),
        CompareType::Bf16 => {
            ordered(cmp, &each(r.word(a), from_brain), &each(r.word(b), from_brain))
        }
    }
}
}

/// A comparison joined with a predicate.
#[inline]
pub(super) fn combine(how: Combine, value: u32, with: u32) -> u32 {
    match how {
        Combine::None => value,
        Combine::And => value & with,
        Combine::Or => value | with,
        Combine::Xor => value ^ with,
    }
}

/// `and.pred` and its relatives.
pub(super) fn logic(r: &mut Registers, mask: u32, f: Logic, d: Slot, a: Pred, b: Pred) {
    let (a, b) = (r.predicate(a), r.predicate(b));
    let value = match f {
        Logic::And => a & b,
        Logic::Or => a | b,
        Logic::Xor => a ^ b,
    };
    r.set_predicate(d, value, mask);
}
