//! What lanes of a warp tell each other. A lane that is named as a member and does not take part
//! is a fault, and so is a value taken from a lane that does not.

use super::registers::{Registers, Words, ballot};
use crate::vm::access::{WARP, lanes};
use crate::vm::inst::{Redux, Shuffle, Slot, Vote};

/// A lane and what is wrong with it.
pub(super) type Misuse = (u32, String);

/// The members that the active lanes name; they must be the active lanes themselves, or, for
/// lanes that name different members, a set that holds each of them.
pub(super) fn check_members(active: u32, members: &Words) -> Result<(), Misuse> {
    for lane in lanes(active) {
        let named = members[lane];
        if named >> lane & 1 == 0 {
            return Err((lane as u32, format!("member mask {named:#010x} lacks the lane itself")));
        }
        let missing = named & !active;
        if missing != 0 {
            return Err((
                lane as u32,
                format!(
                    "member mask {named:#010x} names lane {} which does not take part \
                     (active lanes {active:#010x})",
                    missing.trailing_zeros()
                ),
            ));
        }
    }
    Ok(())
}

/// `shfl.sync`.
pub(super) fn shuffle(
    r: &mut Registers,
    mask: u32,
    f: Shuffle,
    (d, p): (Slot, Slot),
    (a, b, c): (Slot, Slot, Slot),
) -> Result<(), Misuse> {
    let (value, by, control) = (*r.word(a), *r.word(b), *r.word(c));
    let mut out = value;
    let mut inside = 0;
    for lane in 0..WARP as u32 {
        let control = control[lane as usize];
        let (clamp, segment) = (control & 31, control >> 8 & 31);
        let (by, first, last) =
            (by[lane as usize] & 31, lane & segment, lane & segment | clamp & !segment);
        let (source, within) = match f {
            Shuffle::Up => {
                let source = lane as i32 - by as i32;
                (source, source >= last as i32)
            }
            Shuffle::Down => ((lane + by) as i32, lane + by <= last),
            Shuffle::Butterfly => ((lane ^ by) as i32, lane ^ by <= last),
            Shuffle::Index => {
                let source = first | by & !segment;
                (source as i32, source <= last)
            }
        };
        let source = if within { source as u32 } else { lane };
        inside |= (within as u32) << lane;
        out[lane as usize] = value[source as usize];
        if mask >> lane & 1 != 0 && mask >> source & 1 == 0 {
            return Err((lane, format!("value of lane {source}, which does not take part")));
        }
    }
    r.set_word(d, &out, mask);
    r.set_predicate(p, inside, mask);
    Ok(())
}

/// `vote.sync`: the result as a mask of lanes, or the ballot itself.
pub(super) fn vote(f: Vote, active: u32, holds: u32) -> u32 {
    let holds = holds & active;
    let all = |yes: bool| if yes { u32::MAX } else { 0 };
    match f {
        Vote::All => all(holds == active),
        Vote::Any => all(holds != 0),
        Vote::Uniform => all(holds == active || holds == 0),
        Vote::Ballot => holds,
    }
}

/// `redux.sync` over the members of each lane.
pub(super) fn redux(r: &mut Registers, mask: u32, f: Redux, d: Slot, a: Slot, members: &Words) {
    let value = *r.word(a);
    let reduce = |members: u32| {
        lanes(members)
            .map(|lane| value[lane])
            .reduce(|x, y| match f {
                Redux::Add => x.wrapping_add(y),
                Redux::MinS => (x as i32).min(y as i32) as u32,
                Redux::MinU => x.min(y),
                Redux::MaxS => (x as i32).max(y as i32) as u32,
                Redux::MaxU => x.max(y),
                Redux::And => x & y,
                Redux::Or => x | y,
                Redux::Xor => x ^ y,
            })
            .unwrap_or(0)
    };
    let mut out = [0; WARP];
    for lane in lanes(mask) {
        out[lane] = reduce(members[lane]);
    }
    r.set_word(d, &out, mask);
}

/// The value that `match.sync` compares, as 64 bits.
fn values(r: &Registers, a: Slot, wide: bool) -> [u64; WARP] {
    if wide { *r.double(a) } else { r.word(a).map(u64::from) }
}

/// `match.any.sync`.
pub(super) fn match_any(
    r: &mut Registers,
    mask: u32,
    wide: bool,
    d: Slot,
    a: Slot,
    members: &Words,
) {
    let value = values(r, a, wide);
    let mut out = [0; WARP];
    for lane in lanes(mask) {
        out[lane] = ballot(|other| value[other] == value[lane]) & members[lane];
    }
    r.set_word(d, &out, mask);
}

/// `match.all.sync`.
pub(super) fn match_all(
    r: &mut Registers,
    mask: u32,
    wide: bool,
    (d, p): (Slot, Slot),
    a: Slot,
    members: &Words,
) {
    let value = values(r, a, wide);
    let mut out = [0; WARP];
    let mut all = 0;
    for lane in lanes(mask) {
        let members = members[lane];
        if lanes(members).all(|other| value[other] == value[lane]) {
            out[lane] = members;
            all |= 1 << lane;
        }
    }
    r.set_word(d, &out, mask);
    r.set_predicate(p, all, mask);
}
