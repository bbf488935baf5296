//! Shared memory of one executing block.

use std::ops::Range;

use super::atomic::Atomic;
use super::banks;
use super::clocks::Clocks;
use super::copies::{Copies, Held};
use super::shadow::{Clash, Kind, Shadow};
use super::shared_report as report;
use super::view::GlobalView;
use crate::vm::access::{Lanes, Site, Wide, lanes};
use crate::vm::counters::Counters;
use crate::vm::fault::Fault;

/// In the state of 16 bytes, a bit for each that something wrote in this block.
const WRITTEN: u32 = 0xffff;
/// In the state: where the level of the race check is.
const LEVEL: u32 = 16;
/// In the state: a copy is on its way to some of the bytes.
const PENDING: u32 = 1 << 18;

/// Shared memory of the block that a CPU thread runs. Addresses count from 0. Reused from block
/// to block.
#[derive(Default)]
pub struct SharedMemory {
    words: Vec<u32>,
    /// What is known of each 16 bytes.
    states: Vec<u32>,
    /// Of each 16 bytes, those that copies are on their way to.
    pending: Vec<u16>,
    regions: Vec<Range<u32>>,
    /// The region of the last access.
    region: Range<u32>,
    clocks: Clocks,
    shadow: Shadow,
    copies: Copies,
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
        self.regions.clear();
        self.regions.extend_from_slice(regions);
        self.region = regions.first().cloned().unwrap_or(0..0);
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
        let stamp = self.clocks.stamp(accesses.site.warp, accesses.site.pc);
        for lane in lanes(accesses.mask) {
            let address = accesses.addresses[lane];
            self.enter(accesses, lane, BYTES)?;
            self.check_written(accesses, lane, BYTES)?;
            let me = Clocks::of_lane(stamp, lane);
            if let Err(clash) = self.note(address, BYTES, me, Kind::Read) {
                return Err(report::race(accesses, lane, clash, Kind::Read));
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
        let stamp = self.clocks.stamp(site.warp, site.pc);
        for lane in lanes(mask) {
            self.enter(&accesses, lane, bytes)?;
            let me = Clocks::of_lane(stamp, lane);
            if let Err(clash) = self.note(addresses[lane], bytes, me, Kind::Write)
                && !self.same_value(&accesses, lane, clash, values)
            {
                return Err(report::race(&accesses, lane, clash, Kind::Write));
            }
            self.put(addresses[lane], bytes, &values[lane]);
        }
        count(&accesses, counters);
        Ok(())
    }

    /// Read-modify-write of each lane of `mask`, in lane order; `old` gets the values before.
    /// `compare` matters to compare-exchange alone.
    ///
    /// # Errors
    /// As for a load and a store; atomics are no race among themselves.
    #[allow(clippy::too_many_arguments)]
    pub fn atomic(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u32>,
        atomic: Atomic,
        operands: &Lanes<u64>,
        compare: &Lanes<u64>,
        old: &mut Lanes<u64>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let bytes = atomic.ty.size();
        let accesses = Accesses { site, mask, addresses, bytes };
        let stamp = self.clocks.stamp(site.warp, site.pc);
        for lane in lanes(mask) {
            self.enter(&accesses, lane, bytes)?;
            self.check_written(&accesses, lane, bytes)?;
            let me = Clocks::of_lane(stamp, lane);
            if let Err(clash) = self.note(addresses[lane], bytes, me, Kind::Atomic) {
                return Err(report::race(&accesses, lane, clash, Kind::Atomic));
            }
            let word = addresses[lane] as usize / 4;
            let high = if bytes == 8 { self.words[word + 1] as u64 } else { 0 };
            let before = self.words[word] as u64 | high << 32;
            old[lane] = before;
            let after = atomic.apply(before, operands[lane], compare[lane]);
            self.put(addresses[lane], bytes, &[after as u32, (after >> 32) as u32, 0, 0]);
        }
        count(&accesses, counters);
        Ok(())
    }

    /// A barrier of the warps in `warps` (bit per warp of the block) completed.
    pub fn barrier(&mut self, warps: u32) {
        if !self.clocks.barrier(warps) {
            self.shadow.keep_warps();
        }
    }

    /// The lanes `mask` of a warp synchronised (`bar.warp.sync`).
    pub fn warp_sync(&mut self, warp: u32, mask: u32) {
        self.clocks.warp_sync(warp, mask);
    }

    /// A warp ended; a barrier of all that are left counts as one of the whole block.
    pub fn exit(&mut self, warp: u32) {
        self.clocks.exit(warp);
    }

    /// `cp.async`: lane by lane, `source_bytes` (at most `copy_bytes`: 4, 8 or 16) are read from
    /// global memory now and, with zeros after them, land in shared memory at the wait. Copies
    /// that are never waited for never land; that is a fault of whoever accesses their bytes.
    ///
    /// # Errors
    /// Those of a global load of the source and of a store to the destination.
    #[allow(clippy::too_many_arguments)]
    pub fn copy_issue(
        &mut self,
        site: Site,
        mask: u32,
        destinations: &Lanes<u32>,
        sources: &Lanes<u64>,
        copy_bytes: u32,
        source_bytes: &Lanes<u32>,
        global: &mut GlobalView<'_>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let mut values = [[0; 4]; 32];
        global.load_for_copy(
            site,
            mask,
            sources,
            copy_bytes,
            source_bytes,
            &mut values,
            counters,
        )?;
        let accesses = Accesses { site, mask, addresses: destinations, bytes: copy_bytes };
        let stamp = self.clocks.stamp(site.warp, site.pc);
        for lane in lanes(mask) {
            let destination = destinations[lane];
            self.enter(&accesses, lane, copy_bytes)?;
            let me = Clocks::of_lane(stamp, lane);
            if let Err(clash) = self.note(destination, copy_bytes, me, Kind::Copy) {
                return Err(report::race(&accesses, lane, clash, Kind::Copy));
            }
            let group = destination as usize / 16;
            self.states[group] |= PENDING;
            self.pending[group] |= bits(destination, copy_bytes) as u16;
            let held = Held {
                destination,
                bytes: copy_bytes,
                value: values[lane],
                pc: site.pc,
                lane: lane as u32,
                group: 0,
            };
            self.copies.issue(site.warp, held);
        }
        count(&accesses, counters);
        Ok(())
    }

    /// `cp.async.commit_group` of the lanes of a warp.
    pub fn copy_commit(&mut self, warp: u32, mask: u32) {
        self.copies.commit(warp, mask);
    }

    /// `cp.async.wait_group`: all but the newest `left` groups of each lane land, as writes of
    /// that lane at this time. `cp.async.wait_all` is a commit and a wait for all but 0.
    pub fn copy_wait(&mut self, warp: u32, mask: u32, left: u32) {
        let Self { words, states, pending, clocks, shadow, copies, .. } = self;
        copies.wait(warp, mask, left, |held| {
            let group = held.destination as usize / 16;
            let bits = bits(held.destination, held.bytes);
            pending[group] &= !bits as u16;
            states[group] |= bits;
            if pending[group] == 0 {
                states[group] &= !PENDING;
            }
            let first = held.destination as usize / 4;
            let count = held.bytes as usize / 4;
            words[first..first + count].copy_from_slice(&held.value[..count]);
            let me = Clocks::of_lane(clocks.stamp(warp, held.pc), held.lane as usize);
            let mut level = states[group] >> LEVEL & 3;
            shadow.stamp_write(&mut level, held.destination, held.bytes, me);
            states[group] = states[group] & !(3 << LEVEL) | level << LEVEL;
        });
    }

    /// Alignment, bounds, and bytes of copies on their way.
    #[inline]
    fn enter(&mut self, accesses: &Accesses<'_>, lane: usize, bytes: u32) -> Result<(), Fault> {
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
    fn check_written(&self, accesses: &Accesses<'_>, lane: usize, bytes: u32) -> Result<(), Fault> {
        let address = accesses.addresses[lane];
        let missing = bits(address, bytes) & !(self.states[address as usize / 16] & WRITTEN);
        if missing != 0 {
            let byte = (address & !15) + missing.trailing_zeros();
            return Err(report::uninitialised(accesses, lane, byte));
        }
        Ok(())
    }

    /// The race check of one lane.
    #[inline]
    fn note(&mut self, address: u32, bytes: u32, me: u64, kind: Kind) -> Result<(), Clash> {
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
    fn put(&mut self, address: u32, bytes: u32, value: &Wide) {
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
fn bits(address: u32, bytes: u32) -> u32 {
    ((1 << bytes) - 1) << (address & 15)
}

#[inline]
fn count(accesses: &Accesses<'_>, counters: &mut Counters) {
    counters.shared_accesses += 1;
    counters.shared_bank_conflicts +=
        banks::conflicts(accesses.mask, accesses.addresses, accesses.bytes);
}
