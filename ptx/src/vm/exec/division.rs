//! Integer quotients and remainders.

use super::integer::{h, s};
use super::registers::{Registers, ballot};
use crate::vm::inst::{Divide, Slot};

/// Quotients or remainders of the lanes in `mask`. The lowest lane that divides by zero, if any:
/// then nothing is written.
pub(super) fn divide(
    r: &mut Registers,
    mask: u32,
    (f, remainder): (Divide, bool),
    d: Slot,
    a: Slot,
    b: Slot,
) -> Result<(), u32> {
    let wide = matches!(f, Divide::S64 | Divide::U64);
    let zero = if wide {
        let b = r.double(b);
        ballot(|lane| b[lane] == 0)
    } else {
        let b = r.word(b);
        ballot(|lane| b[lane] == 0)
    } & mask;
    if zero != 0 {
        return Err(zero.trailing_zeros());
    }
    // Lanes outside the mask divide by one instead of whatever they hold.
    let on = |lane: usize| mask >> lane & 1 != 0;
    if wide {
        let (a, b) = (r.double(a), r.double(b));
        let out = std::array::from_fn(|lane| {
            let (a, b) = (a[lane], if on(lane) { b[lane] } else { 1 });
            match (f, remainder) {
                (Divide::S64, false) => (a as i64).wrapping_div(b as i64) as u64,
                (Divide::S64, true) => (a as i64).wrapping_rem(b as i64) as u64,
                (_, false) => a / b,
                (_, true) => a % b,
            }
        });
        r.set_double(d, &out, mask);
    } else {
        let (a, b) = (r.word(a), r.word(b));
        let out = std::array::from_fn(|lane| {
            let (a, b) = (a[lane], if on(lane) { b[lane] } else { 1 });
            match (f, remainder) {
                (Divide::S32, false) => s(a).wrapping_div(s(b)) as u32,
                (Divide::S32, true) => s(a).wrapping_rem(s(b)) as u32,
                (Divide::S16, false) => h(a).wrapping_div(h(b)) as u32 & 0xffff,
                (Divide::S16, true) => h(a).wrapping_rem(h(b)) as u32 & 0xffff,
                (_, false) => a / b,
                (_, true) => a % b,
            }
        });
        r.set_word(d, &out, mask);
    }
    Ok(())
}
