//! The accesses of warps to global memory.

use std::sync::{Arc, PoisonError};

use super::allocation::Allocation;
use super::atomic::Atomic;
use super::launch::LaunchMemory;
use super::report;
use super::sectors::Sectors;
use super::split::Access;
use crate::vm::access::{Lanes, Site, Wide, lanes};
use crate::vm::counters::Counters;
use crate::vm::fault::Fault;

/// Instructions whose last allocation is kept, by the low bits of their index.
const CACHED: usize = 16;

/// Access to global memory for one CPU thread that runs blocks of a launch.
pub struct GlobalView<'a> {
    launch: &'a LaunchMemory,
    cache: [Option<&'a Arc<Allocation>>; CACHED],
}

/// Accesses of one instruction: what a report needs.
pub(super) struct Accesses<'l> {
    pub site: Site,
    pub mask: u32,
    pub addresses: &'l Lanes<u64>,
    /// Bytes of a lane.
    pub bytes: u32,
}

/// The 16 bytes that the lanes before the current one accessed last.
struct Group<'a> {
    allocation: &'a Arc<Allocation>,
    offset: usize,
    mask: u16,
}

impl<'a> GlobalView<'a> {
    pub(super) fn new(launch: &'a LaunchMemory) -> Self {
        Self { launch, cache: [None; CACHED] }
    }

    /// Reads `bytes` (1, 2, 4, 8 or 16) per lane of `mask`. Bytes beyond the width are zero;
    /// lanes outside the mask keep their value.
    ///
    /// # Errors
    /// Out of bounds, misaligned, uninitialised, or written by another block.
    pub fn load(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u64>,
        bytes: u32,
        out: &mut Lanes<Wide>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let accesses = Accesses { site, mask, addresses, bytes };
        let mut sectors = Sectors::new();
        let mut last: Option<Group<'a>> = None;
        for lane in lanes(mask) {
            let address = addresses[lane];
            let allocation = self.locate(&accesses, lane)?;
            let offset = (address - allocation.base) as usize;
            out[lane] = allocation.load(offset, bytes);
            let bits = (((1u32 << bytes) - 1) << (offset & 15)) as u16;
            match &mut last {
                Some(g) if g.offset == offset & !15 && Arc::ptr_eq(g.allocation, allocation) => {
                    g.mask |= bits;
                }
                _ => {
                    if let Some(group) = &last {
                        self.finish_load(&accesses, group)?;
                    }
                    self.launch.prepare(allocation, offset, false);
                    sectors.add(address);
                    last = Some(Group { allocation, offset: offset & !15, mask: bits });
                }
            }
        }
        if let Some(group) = &last {
            self.finish_load(&accesses, group)?;
        }
        self.name(&accesses, false);
        counters.global_read_bytes += bytes as u64 * mask.count_ones() as u64;
        counters.global_read_sectors += sectors.count();
        Ok(())
    }

    /// What `cp.async` reads: of each lane the first `source_bytes` of `copy_bytes`, zeros after.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn load_for_copy(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u64>,
        copy_bytes: u32,
        source_bytes: &Lanes<u32>,
        out: &mut Lanes<Wide>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let with = |bytes: u32| {
            let has = |lane: &usize| source_bytes[*lane].min(copy_bytes) == bytes;
            lanes(mask).filter(has).fold(0u32, |all, lane| all | 1 << lane)
        };
        let whole = with(copy_bytes);
        let before = counters.global_read_sectors;
        if whole != 0 {
            self.load(site, whole, addresses, copy_bytes, out, counters)?;
        }
        let part = mask & !whole & !with(0);
        if part == 0 {
            return Ok(());
        }
        for lane in lanes(part) {
            if addresses[lane] & (copy_bytes as u64 - 1) != 0 {
                return Err(report::misaligned(site, lane, addresses[lane], copy_bytes));
            }
        }
        let mut bytes = [[0; 4]; 32];
        for i in 0..copy_bytes {
            let here = lanes(part).filter(|&lane| i < source_bytes[lane]);
            let here = here.fold(0u32, |all, lane| all | 1 << lane);
            let at = addresses.map(|address| address.wrapping_add(i as u64));
            if here != 0 {
                self.load(site, here, &at, 1, &mut bytes, counters)?;
            }
            for lane in lanes(here) {
                out[lane][i as usize / 4] |= bytes[lane][0] << (8 * (i % 4));
            }
        }
        // Read byte by byte, but moved once.
        let mut sectors = Sectors::new();
        lanes(whole | part).for_each(|lane| sectors.add(addresses[lane]));
        counters.global_read_sectors = before + sectors.count();
        Ok(())
    }

    /// Writes `bytes` (1, 2, 4, 8 or 16) per lane of `mask`, in lane order.
    ///
    /// # Errors
    /// Out of bounds, misaligned, or accessed by another block.
    pub fn store(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u64>,
        bytes: u32,
        values: &Lanes<Wide>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let accesses = Accesses { site, mask, addresses, bytes };
        let mut sectors = Sectors::new();
        let mut last: Option<Group<'a>> = None;
        let mut staged: Wide = [0; 4];
        for lane in lanes(mask) {
            let address = addresses[lane];
            let allocation = self.locate(&accesses, lane)?;
            let offset = (address - allocation.base) as usize;
            let bits = (((1u32 << bytes) - 1) << (offset & 15)) as u16;
            match &mut last {
                Some(g) if g.offset == offset & !15 && Arc::ptr_eq(g.allocation, allocation) => {
                    g.mask |= bits;
                }
                _ => {
                    if let Some(group) = &last {
                        self.finish_store(&accesses, group, &staged)?;
                    }
                    sectors.add(address);
                    last = Some(Group { allocation, offset: offset & !15, mask: bits });
                }
            }
            stage(&mut staged, offset & 15, bytes, &values[lane]);
        }
        if let Some(group) = &last {
            self.finish_store(&accesses, group, &staged)?;
        }
        self.name(&accesses, true);
        counters.global_written_bytes += bytes as u64 * mask.count_ones() as u64;
        counters.global_written_sectors += sectors.count();
        Ok(())
    }

    /// Read-modify-write of each lane of `mask`, in lane order; `old` gets the values before.
    /// `compare` matters to compare-exchange alone.
    ///
    /// # Errors
    /// As for a load and a store; atomics of several blocks on one word are allowed.
    #[allow(clippy::too_many_arguments)]
    pub fn atomic(
        &mut self,
        site: Site,
        mask: u32,
        addresses: &Lanes<u64>,
        atomic: Atomic,
        operands: &Lanes<u64>,
        compare: &Lanes<u64>,
        old: &mut Lanes<u64>,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let launch = self.launch;
        let bytes = atomic.ty.size();
        let accesses = Accesses { site, mask, addresses, bytes };
        let mut sectors = Sectors::new();
        let _one_at_a_time = launch.atomics.lock().unwrap_or_else(PoisonError::into_inner);
        for lane in lanes(mask) {
            let allocation = self.locate(&accesses, lane)?;
            let offset = (addresses[lane] - allocation.base) as usize;
            let group = offset & !15;
            let bits = (((1u32 << bytes) - 1) << (offset & 15)) as u16;
            launch.prepare(allocation, offset, true);
            sectors.add(addresses[lane]);
            let here = Group { allocation, offset: group, mask: bits };
            self.check_written(&accesses, &here)?;
            self.check_owner(&accesses, &here, Access::Atomic)?;
            let value = allocation.load(offset, bytes);
            let before = value[0] as u64 | (value[1] as u64) << 32;
            old[lane] = before;
            let after = atomic.apply(before, operands[lane], compare[lane]);
            let mut staged = [0; 4];
            stage(&mut staged, offset & 15, bytes, &[after as u32, (after >> 32) as u32, 0, 0]);
            allocation.store(group, bits, &staged, launch.exclusive);
        }
        self.name(&accesses, true);
        let asked = bytes as u64 * mask.count_ones() as u64;
        counters.global_read_bytes += asked;
        counters.global_written_bytes += asked;
        let sectors = sectors.count();
        counters.global_read_sectors += sectors;
        counters.global_written_sectors += sectors;
        Ok(())
    }

    /// The allocation of a lane's bytes.
    #[inline]
    fn locate(
        &mut self,
        accesses: &Accesses<'_>,
        lane: usize,
    ) -> Result<&'a Arc<Allocation>, Fault> {
        let (address, bytes) = (accesses.addresses[lane], accesses.bytes);
        if address & (bytes as u64 - 1) != 0 {
            return Err(report::misaligned(accesses.site, lane, address, bytes));
        }
        let slot = accesses.site.pc as usize % CACHED;
        if let Some(allocation) = self.cache[slot]
            && allocation.holds(address, bytes as u64)
        {
            return Ok(allocation);
        }
        let all = &self.launch.snapshot.allocations;
        let after = all.partition_point(|a| a.base <= address);
        match all[..after].last() {
            Some(allocation) if allocation.holds(address, bytes as u64) => {
                self.cache[slot] = Some(allocation);
                Ok(allocation)
            }
            _ => Err(report::outside(&self.launch.snapshot, accesses, lane)),
        }
    }

    #[inline]
    fn finish_load(&self, accesses: &Accesses<'_>, group: &Group<'_>) -> Result<(), Fault> {
        self.check_written(accesses, group)?;
        self.check_owner(accesses, group, Access::Read)
    }

    #[inline]
    fn finish_store(
        &self,
        accesses: &Accesses<'_>,
        group: &Group<'_>,
        values: &Wide,
    ) -> Result<(), Fault> {
        self.launch.prepare(group.allocation, group.offset, true);
        self.check_owner(accesses, group, Access::Write)?;
        group.allocation.store(group.offset, group.mask, values, self.launch.exclusive);
        Ok(())
    }

    #[inline]
    fn check_written(&self, accesses: &Accesses<'_>, group: &Group<'_>) -> Result<(), Fault> {
        let missing = group.mask & !group.allocation.written(group.offset);
        if missing != 0 {
            let byte = (group.offset as u32 + missing.trailing_zeros()) as u64;
            return Err(report::uninitialised(accesses, group.allocation, byte));
        }
        Ok(())
    }

    #[inline]
    fn check_owner(
        &self,
        accesses: &Accesses<'_>,
        group: &Group<'_>,
        access: Access,
    ) -> Result<(), Fault> {
        let Group { allocation, offset, mask } = *group;
        match self.launch.note(allocation, offset, accesses.site.block, mask, access) {
            None => Ok(()),
            Some(clash) => {
                let address = allocation.base + offset as u64 + clash.byte as u64;
                let known = self.launch.names.as_ref().and_then(|names| {
                    let names = names.lock().unwrap_or_else(PoisonError::into_inner);
                    names.find(address, clash.wrote)
                });
                Err(report::global_race(accesses, allocation, address, access, clash, known))
            }
        }
    }

    #[inline]
    fn name(&self, accesses: &Accesses<'_>, wrote: bool) {
        if let Some(names) = &self.launch.names {
            let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
            for lane in lanes(accesses.mask) {
                let address = accesses.addresses[lane];
                names.note(accesses.site, lane, address, accesses.bytes, wrote);
            }
        }
    }
}

/// Puts a lane's bytes into the 16 that are being gathered, at byte `at` of them.
#[inline]
fn stage(staged: &mut Wide, at: usize, bytes: u32, value: &Wide) {
    let word = at / 4;
    match bytes {
        16 => *staged = *value,
        8 => staged[word..word + 2].copy_from_slice(&value[..2]),
        4 => staged[word] = value[0],
        _ => {
            let shift = 8 * (at & 3);
            let keep = !(((1u32 << (8 * bytes)) - 1) << shift);
            staged[word] = (staged[word] & keep) | ((value[0] << shift) & !keep);
        }
    }
}
