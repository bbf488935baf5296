//! The handle through which warps access global memory: finding allocations, checks, atomics.

use std::sync::{Arc, PoisonError};

use super::allocation::Allocation;
use super::atomic::Atomic;
use super::launch::LaunchMemory;
use super::report;
use super::sectors::Sectors;
use super::split::Access;
use super::transfer::stage;
use crate::vm::access::{Lanes, Site, Wide, lanes};
use crate::vm::counters::Counters;
use crate::vm::fault::Fault;

/// Instructions whose last allocation is kept, by the low bits of their index.
const CACHED: usize = 16;

/// Access to global memory for one CPU thread that runs blocks of a launch.
pub struct GlobalView<'a> {
    pub(super) launch: &'a LaunchMemory,
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
pub(super) struct Group<'a> {
    pub allocation: &'a Arc<Allocation>,
    pub offset: usize,
    pub mask: u16,
}

impl<'a> GlobalView<'a> {
    pub(super) fn new(launch: &'a LaunchMemory) -> Self {
        Self { launch, cache: [None; CACHED] }
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
            let allocation = self.search(&accesses, lane)?;
            let offset = (addresses[lane] - allocation.base) as usize;
            let group = offset & !15;
            let bits = (((1u32 << bytes) - 1) << (offset & 15)) as u16;
            launch.prepare(allocation, offset, true);
            sectors.add(addresses[lane]);
            let here = Group { allocation, offset: group, mask: bits };
            self.check_written(&accesses, &here)?;
            self.check_owner(&accesses, &here, Access::Atomic)?;
            let value = match bytes {
                8 => allocation.load::<8>(offset),
                _ => allocation.load::<4>(offset),
            };
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

    /// The allocation that an instruction accessed last.
    #[inline]
    pub(super) fn recent(&self, site: Site) -> Option<&'a Arc<Allocation>> {
        self.cache[site.pc as usize % CACHED]
    }

    /// The allocation of a lane's bytes; `current` is that of the lane before.
    #[inline]
    pub(super) fn locate<const BYTES: u32>(
        &mut self,
        accesses: &Accesses<'_>,
        lane: usize,
        current: &mut Option<&'a Arc<Allocation>>,
    ) -> Result<&'a Arc<Allocation>, Fault> {
        let (address, bytes) = (accesses.addresses[lane], BYTES as u64);
        match *current {
            Some(allocation) if address & (bytes - 1) == 0 && allocation.holds(address, bytes) => {
                Ok(allocation)
            }
            _ => {
                let allocation = self.search(accesses, lane)?;
                *current = Some(allocation);
                Ok(allocation)
            }
        }
    }

    #[inline(never)]
    pub(super) fn search(
        &mut self,
        accesses: &Accesses<'_>,
        lane: usize,
    ) -> Result<&'a Arc<Allocation>, Fault> {
        let (address, bytes) = (accesses.addresses[lane], accesses.bytes);
        if address & (bytes as u64 - 1) != 0 {
            return Err(report::misaligned(accesses.site, lane, address, bytes));
        }
        let all = &self.launch.snapshot.allocations;
        let after = all.partition_point(|a| a.base <= address);
        match all[..after].last() {
            Some(allocation) if allocation.holds(address, bytes as u64) => {
                self.cache[accesses.site.pc as usize % CACHED] = Some(allocation);
                Ok(allocation)
            }
            _ => Err(report::outside(&self.launch.snapshot, accesses, lane)),
        }
    }

    #[inline]
    pub(super) fn finish_load(
        &self,
        accesses: &Accesses<'_>,
        group: &Group<'_>,
    ) -> Result<(), Fault> {
        self.check_written(accesses, group)?;
        self.check_owner(accesses, group, Access::Read)
    }

    #[inline]
    pub(super) fn finish_store(
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
    pub(super) fn check_written(
        &self,
        accesses: &Accesses<'_>,
        group: &Group<'_>,
    ) -> Result<(), Fault> {
        let missing = group.mask & !group.allocation.written(group.offset);
        if missing != 0 {
            let byte = (group.offset as u32 + missing.trailing_zeros()) as u64;
            return Err(report::uninitialised(accesses, group.allocation, byte));
        }
        Ok(())
    }

    #[inline]
    pub(super) fn check_owner(
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
    pub(super) fn name(&self, accesses: &Accesses<'_>, wrote: bool) {
        if let Some(names) = &self.launch.names {
            let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
            for lane in lanes(accesses.mask) {
                let address = accesses.addresses[lane];
                names.note(accesses.site, lane, address, accesses.bytes, wrote);
            }
        }
    }
}
