//! Shared memory of one executing block.

use std::ops::Range;

use super::banks;
use super::clocks::{Clocks, Quick};
use super::copies::Copies;
use super::shadow::{Clash, Kind, Shadow, level_of};
use super::shared_report as report;
use crate::vm::access::{Lanes, Site, WARP, Wide};
use crate::vm::counters::Counters;
use crate::vm::fault::Fault;

/// In the state of 16 bytes, a bit for each that something wrote in this block.
const WRITTEN: u32 = 0xffff;
/// In the state: where the level of the race check is.
pub(super) const LEVEL: u32 = 16;
/// In the state: a copy is on its way to some of the bytes.
pub(super) const PENDING: u32 = 1 << 18;

/// Shared memory of the block that a CPU thread runs. Addresses count from 0. Reused from block
/// to block.
#[derive(Default)]
pub struct SharedMemory {
    pub(super) words: Vec<u32>,
    /// What is known of each 16 bytes.
    pub(super) states: Vec<u32>,
    /// Of each 16 bytes, those that copies are on their way to.
    pub(super) pending: Vec<u16>,
    regions: Vec<Range<u32>>,
    /// The region of the last access.
    region: Range<u32>,
    pub(super) clocks: Clocks,
    pub(super) shadow: Shadow,
    pub(super) copies: Copies,
    /// Where set, the first read of bytes that nothing wrote is held back, see
    /// [`SharedMemory::hold_unwritten`].
    unwritten: Option<Unwritten>,
}

/// A read of bytes that nothing wrote, held back.
#[derive(Default)]
struct Unwritten {
    read: Option<Fault>,
}

/// Accesses of one instruction: what a report needs.
pub(super) struct Accesses<'l> {
    pub site: Site,
    pub mask: u32,
    pub addresses: &'l Lanes<u32>,
    /// Bytes of a lane.
    pub bytes: u32,
}

impl SharedMemory {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a block of `threads` threads. `regions` are the extents of the variables,
    /// ascending; an access must lie inside one of them. `subsets` says that the kernel has
    /// barriers for a part of the warps (a named barrier with a count): readers are then kept
    /// warp by warp.
    pub fn reset(&mut self, regions: &[Range<u32>], threads: u32, subsets: bool) {
        let extent = regions.iter().map(|r| r.end).max().unwrap_or(0).next_multiple_of(16);
        let groups = extent as usize / 16;
        let Self { pending, states, .. } = self;
        self.copies.reset(|held| pending[held.destination as usize / 16] = 0);
        let again = self.clocks.reset(threads);
        if again || states.len() < groups {
            self.words = vec![0; groups * 4];
            self.states = vec![0; groups];
            self.pending = vec![0; groups];
            self.shadow.resize(groups * 16);
        } else {
            states[..groups].iter_mut().for_each(|state| *state &= 3 << LEVEL);
        }
        self.shadow.reset(subsets);
        self.held_read();
        self.regions.clear();
        self.regions.extend_from_slice(regions);
        self.region = regions.first().cloned().unwrap_or(0..0);
    }

    /// From now on a block goes on after a read of bytes that nothing wrote: what another warp
    /// writes to them before the next barrier tells that it is a race, and with whom.
    pub fn hold_unwritten(&mut self) {
        self.unwritten = Some(Unwritten::default());
    }

    /// The read that was held back, to be reported now that nothing better can be said of it.
    pub fn held_read(&mut self) -> Option<Fault> {
        self.unwritten.as_mut()?.read.take()
    }

    /// Reads `bytes` (1, 2, 4, 8 or 16) per lane of `mask`. Bytes beyond the width are zero;
    /// lanes outside the mask keep their value. The rows of `ldmatrix` are loads of 16 bytes by
    /// the lanes that give their addresses: the race check takes those for the readers.
    ///
    /// # Errors
    /// Out of bounds, misaligned, uninitialised, a race, or bytes of a pending copy.
    pub fn load(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u32>,
        bytes: u32,
        out: &mut Lanes<Wide>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let accesses = Accesses { site, mask, addresses, bytes };
        match bytes {
            16 => self.load_all::<16>(&accesses, out)?,
            8 => self.load_all::<8>(&accesses, out)?,
            4 => self.load_all::<4>(&accesses, out)?,
            2 => self.load_all::<2>(&accesses, out)?,
            _ => self.load_all::<1>(&accesses, out)?,
        }
        count(&accesses, counters);
        Ok(())
    }

    #[inline]
    fn load_all<const BYTES: u32>(
        &mut self,
        accesses: &Accesses<'_>,
        out: &mut Lanes<Wide>,
    ) -> Result<(), Fault> {
        let site = accesses.site;
        let stamp = self.clocks.stamp(site.warp, site.pc);
        let quick = self.quick(site.warp);
        for lane in (0..WARP).filter(|lane| accesses.mask >> lane & 1 == 1) {
            let address = accesses.addresses[lane];
            let me = Clocks::of_lane(stamp, lane);
            let done = quick.is_some_and(|quick| {
                self.quick_level::<BYTES>(address, bits(address, BYTES))
                    .is_some_and(|level| self.shadow.quick_read(quick, level, address, BYTES, me))
            });
            if !done {
                self.enter(accesses, lane, BYTES)?;
                self.check_written(accesses, lane, BYTES)?;
                if let Err(clash) = self.note(address, BYTES, me, Kind::Read) {
                    return Err(report::race(accesses, lane, clash, Kind::Read));
                }
            }
            let word = address as usize / 4;
            out[lane] = match BYTES {
                16 => self.words[word..word + 4].try_into().unwrap_or_default(),
                8 => [self.words[word], self.words[word + 1], 0, 0],
                4 => [self.words[word], 0, 0, 0],
                2 => [(self.words[word] >> (8 * (address & 2))) & 0xffff, 0, 0, 0],
                _ => [(self.words[word] >> (8 * (address & 3))) & 0xff, 0, 0, 0],
            };
        }
        Ok(())
    }

    /// Writes `bytes` (1, 2, 4, 8 or 16) per lane of `mask`, in lane order. Lanes may write the
    /// same value to the same bytes.
    ///
    /// # Errors
    /// Out of bounds, misaligned, a race, or bytes of a pending copy.
    pub fn store(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u32>,
        bytes: u32,
        values: &Lanes<Wide>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let accesses = Accesses { site, mask, addresses, bytes };
        match bytes {
            16 => self.store_all::<16>(&accesses, values)?,
            8 => self.store_all::<8>(&accesses, values)?,
            4 => self.store_all::<4>(&accesses, values)?,
            2 => self.store_all::<2>(&accesses, values)?,
            _ => self.store_all::<1>(&accesses, values)?,
        }
        count(&accesses, counters);
        Ok(())
    }

    #[inline]
    fn store_all<const BYTES: u32>(
        &mut self,
        accesses: &Accesses<'_>,
        values: &Lanes<Wide>,
    ) -> Result<(), Fault> {
        let site = accesses.site;
        let stamp = self.clocks.stamp(site.warp, site.pc);
        let quick = self.quick(site.warp);
        for lane in (0..WARP).filter(|lane| accesses.mask >> lane & 1 == 1) {
            let address = accesses.addresses[lane];
            let me = Clocks::of_lane(stamp, lane);
            let done = quick.is_some_and(|quick| {
                self.quick_level::<BYTES>(address, 0).is_some_and(|level| {
                    self.shadow.quick_write(quick, level, address, BYTES, me, true)
                })
            });
            if !done {
                self.enter(accesses, lane, BYTES)?;
                if let Err(clash) = self.note(address, BYTES, me, Kind::Write)
                    && !self.same_value(accesses, lane, clash, values)
                {
                    return Err(report::race(accesses, lane, clash, Kind::Write));
                }
            }
            self.put(address, BYTES, &values[lane]);
        }
        Ok(())
    }

    /// What the quick way needs of the clock.
    #[inline]
    pub(super) fn quick(&self, warp: u32) -> Option<Quick> {
        if self.shadow.is_quick() { self.clocks.quick(warp) } else { None }
    }

    /// The level of the cells of an access that is aligned, inside the region of the last one,
    /// of no bytes that are pending, all of `written` written, and not narrower than the cells.
    #[inline]
    pub(super) fn quick_level<const BYTES: u32>(&self, address: u32, written: u32) -> Option<u32> {
        let Range { start, end } = self.region;
        let inside = address >= start && address < end && BYTES <= end - address;
        if !inside || address & (BYTES - 1) != 0 {
            return None;
        }
        let state = self.states[address as usize / 16];
        let level = state >> LEVEL & 3;
        (state & (written | PENDING) == written && level >= level_of(BYTES)).then_some(level)
    }

    /// Alignment, bounds, and bytes of copies on their way.
    #[inline]
    pub(super) fn enter(
        &mut self,
        accesses: &Accesses<'_>,
        lane: usize,
        bytes: u32,
    ) -> Result<(), Fault> {
        let address = accesses.addresses[lane];
        if address & (bytes - 1) != 0 {
            return Err(report::misaligned(accesses, lane));
        }
        let inside =
            |r: &Range<u32>| address >= r.start && address < r.end && bytes <= r.end - address;
        if !inside(&self.region) {
            match self.regions.iter().find(|r| inside(r)) {
                Some(region) => self.region = region.clone(),
                None => return Err(report::outside(accesses, lane, &self.regions)),
            }
        }
        let group = address as usize / 16;
        if self.states[group] & PENDING != 0 {
            let met = self.pending[group] as u32 & bits(address, bytes);
            if met != 0 {
                let byte = (address & !15) + met.trailing_zeros();
                return Err(report::pending(accesses, lane, self.copies.find(byte)));
            }
        }
        Ok(())
    }

    #[inline]
    pub(super) fn check_written(
        &mut self,
        accesses: &Accesses<'_>,
        lane: usize,
        bytes: u32,
    ) -> Result<(), Fault> {
        let address = accesses.addresses[lane];
        let missing = bits(address, bytes) & !(self.states[address as usize / 16] & WRITTEN);
        if missing != 0 {
            let byte = (address & !15) + missing.trailing_zeros();
            let fault = report::uninitialised(accesses, lane, byte);
            return match &mut self.unwritten {
                None => Err(fault),
                Some(held) => {
                    held.read.get_or_insert(fault);
                    Ok(())
                }
            };
        }
        Ok(())
    }

    /// The race check of one lane.
    #[inline]
    pub(super) fn note(
        &mut self,
        address: u32,
        bytes: u32,
        me: u64,
        kind: Kind,
    ) -> Result<(), Clash> {
        let state = &mut self.states[address as usize / 16];
        let old = *state >> LEVEL & 3;
        let mut level = old;
        let found = self.shadow.access(&self.clocks, &mut level, address, bytes, me, kind);
        if level != old {
            *state = *state & !(3 << LEVEL) | level << LEVEL;
        }
        found
    }

    /// Whether a clash is with an earlier lane of the same store that wrote the same values to
    /// the bytes that both write. Cells left unstamped by the clash are the other lane's.
    #[cold]
    fn same_value(
        &self,
        accesses: &Accesses<'_>,
        lane: usize,
        clash: Clash,
        values: &Lanes<Wide>,
    ) -> bool {
        let other = clash.thread as usize % 32;
        let this_store = clash.wrote
            && clash.thread / 32 == accesses.site.warp
            && clash.pc == accesses.site.pc
            && clash.time == self.clocks.now()
            && other < lane
            && accesses.mask >> other & 1 == 1;
        // Accesses are aligned to their width, so they are the same bytes or share none.
        this_store && accesses.addresses[other] == accesses.addresses[lane] && {
            let words = (accesses.bytes as usize).div_ceil(4);
            let keep = u32::MAX >> (32 - 8 * accesses.bytes.min(4));
            (0..words).all(|i| (values[other][i] ^ values[lane][i]) & keep == 0)
        }
    }

    /// Puts a lane's bytes in, and marks them as written.
    #[inline]
    pub(super) fn put(&mut self, address: u32, bytes: u32, value: &Wide) {
        let word = address as usize / 4;
        match bytes {
            16 => self.words[word..word + 4].copy_from_slice(value),
            8 => self.words[word..word + 2].copy_from_slice(&value[..2]),
            4 => self.words[word] = value[0],
            _ => {
                let shift = 8 * (address & 3);
                let keep = !(((1u32 << (8 * bytes)) - 1) << shift);
                self.words[word] = (self.words[word] & keep) | ((value[0] << shift) & !keep);
            }
        }
        self.states[address as usize / 16] |= bits(address, bytes);
    }
}

/// A bit for each byte of an access in its 16 bytes.
#[inline]
pub(super) fn bits(address: u32, bytes: u32) -> u32 {
    ((1 << bytes) - 1) << (address & 15)
}

#[inline]
pub(super) fn count(accesses: &Accesses<'_>, counters: &mut Counters) {
    counters.shared_accesses += 1;
    counters.shared_bank_conflicts +=
        banks::conflicts(accesses.mask, accesses.addresses, accesses.bytes);
}
