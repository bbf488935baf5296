//! The wording of what the checks of global memory find.

use super::allocation::Allocation;
use super::global::Snapshot;
use super::owners::Clash;
use super::split::Access;
use super::view::Accesses;
use crate::vm::access::{Site, lanes};
use crate::vm::fault::{Fault, FaultKind};

/// Addresses below this are taken for a null pointer plus an offset.
const NULL_END: u64 = 1 << 32;

#[cold]
pub(super) fn misaligned(site: Site, lane: usize, address: u64, bytes: u32) -> Fault {
    Fault {
        kind: FaultKind::Misaligned,
        site,
        lane: lane as u32,
        detail: format!("{bytes} bytes at {address:#x}"),
        other: None,
    }
}

#[cold]
pub(super) fn outside(snapshot: &Snapshot, accesses: &Accesses<'_>, lane: usize) -> Fault {
    let (address, bytes) = (accesses.addresses[lane], accesses.bytes);
    let detail = format!("{bytes} bytes at {address:#x}: {}", place(snapshot, address));
    Fault {
        kind: FaultKind::OutOfBounds,
        site: accesses.site,
        lane: lane as u32,
        detail,
        other: None,
    }
}

/// Where an address is that no allocation holds.
fn place(snapshot: &Snapshot, address: u64) -> String {
    if let Some(freed) = snapshot.freed.iter().rev().find(|range| range.contains(&address)) {
        let (at, extent) = (address - freed.start, freed.end - freed.start);
        return format!("byte {at} of a freed allocation of {extent} bytes");
    }
    if address < NULL_END {
        return format!("{address} bytes from a null pointer");
    }
    let after = snapshot.allocations.partition_point(|a| a.base <= address);
    let below = snapshot.allocations[..after].last();
    let above = snapshot.allocations.get(after);
    let past = below.map(|a| (address - a.base).saturating_sub(a.bytes));
    let before = above.map(|a| a.base - address);
    let of = |a: &Allocation| format!("an allocation of {} bytes at {:#x}", a.bytes, a.base);
    match (below, above) {
        (Some(a), _) if address - a.base < a.bytes => format!("across the end of {}", of(a)),
        (_, Some(a)) if past.is_none() || before < past => {
            format!("{} bytes before {}", before.unwrap_or(0), of(a))
        }
        (Some(a), _) => format!("{} bytes past the end of {}", past.unwrap_or(0), of(a)),
        (None, _) => "there are no allocations".to_owned(),
    }
}

#[cold]
pub(super) fn uninitialised(accesses: &Accesses<'_>, allocation: &Allocation, byte: u64) -> Fault {
    let (base, extent) = (allocation.base, allocation.bytes);
    Fault {
        kind: FaultKind::Uninitialised,
        site: accesses.site,
        lane: who(accesses, base + byte),
        detail: format!("byte {byte} of the allocation of {extent} bytes at {base:#x}"),
        other: None,
    }
}

#[cold]
pub(super) fn global_race(
    accesses: &Accesses<'_>,
    allocation: &Allocation,
    address: u64,
    access: Access,
    clash: Clash,
    known: Option<(Site, u32)>,
) -> Fault {
    let (base, extent) = (allocation.base, allocation.bytes);
    let here = if access == Access::Read { "read" } else { "written" };
    let there = if clash.wrote { "wrote" } else { "read" };
    let other = known.map_or(clash.block, |(site, _)| site.block);
    let byte = address - base;
    Fault {
        kind: FaultKind::GlobalRace,
        site: accesses.site,
        lane: who(accesses, address),
        detail: format!(
            "byte {byte} of the allocation of {extent} bytes at {base:#x} is {here} by block {}; \
             block {other} {there} it in this launch",
            accesses.site.block
        ),
        other: known.map(|(site, lane)| (site, lane, clash.wrote)),
    }
}

/// The first lane whose bytes hold an address.
fn who(accesses: &Accesses<'_>, address: u64) -> u32 {
    let holds =
        |lane: &usize| address.wrapping_sub(accesses.addresses[*lane]) < accesses.bytes as u64;
    lanes(accesses.mask).find(holds).unwrap_or(0) as u32
}
