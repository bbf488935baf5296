//! The wording of what the checks of shared memory find.

use std::ops::Range;

use super::copies::Held;
use super::shadow::{Clash, Kind};
use super::shared::Accesses;
use crate::vm::access::{Site, WARP};
use crate::vm::fault::{Fault, FaultKind};

fn fault(
    kind: FaultKind,
    accesses: &Accesses<'_>,
    lane: usize,
    what: impl std::fmt::Display,
    other: Option<(Site, u32, bool)>,
) -> Fault {
    let (bytes, address) = (accesses.bytes, accesses.addresses[lane]);
    let detail = format!("{bytes} bytes at {address:#x} of shared memory{what}");
    Fault { kind, site: accesses.site, lane: lane as u32, detail, other }
}

#[cold]
pub(super) fn misaligned(accesses: &Accesses<'_>, lane: usize) -> Fault {
    fault(FaultKind::Misaligned, accesses, lane, "", None)
}

#[cold]
pub(super) fn outside(accesses: &Accesses<'_>, lane: usize, regions: &[Range<u32>]) -> Fault {
    let end = regions.iter().map(|r| r.end).max().unwrap_or(0);
    let what = if accesses.addresses[lane] >= end {
        format!(", of which the block has {end}")
    } else {
        ", outside or across the end of every variable".to_owned()
    };
    fault(FaultKind::OutOfBounds, accesses, lane, what, None)
}

#[cold]
pub(super) fn uninitialised(accesses: &Accesses<'_>, lane: usize, byte: u32) -> Fault {
    let what = format!(": nothing wrote {byte:#x} in this block");
    fault(FaultKind::Uninitialised, accesses, lane, what, None)
}

#[cold]
pub(super) fn pending(accesses: &Accesses<'_>, lane: usize, copy: Option<(u32, Held)>) -> Fault {
    let other =
        copy.map(|(warp, held)| (Site { warp, pc: held.pc, ..accesses.site }, held.lane, true));
    let what = ": an asynchronous copy to them has not been waited for";
    fault(FaultKind::PendingCopy, accesses, lane, what, other)
}

#[cold]
pub(super) fn race(accesses: &Accesses<'_>, lane: usize, clash: Clash, kind: Kind) -> Fault {
    let (warp, other) = (clash.thread / WARP as u32, clash.thread % WARP as u32);
    let here = match kind {
        Kind::Read => "read",
        Kind::Write | Kind::Atomic => "written",
        Kind::Copy => "the target of a copy",
    };
    let there = if clash.wrote { "wrote" } else { "read" };
    let what = format!(
        " {here}, but warp {warp} lane {other} {there} some of them and no barrier orders the two"
    );
    let site = Site { warp, pc: clash.pc, ..accesses.site };
    fault(FaultKind::Race, accesses, lane, what, Some((site, other, clash.wrote)))
}
