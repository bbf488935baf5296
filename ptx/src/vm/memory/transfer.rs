//! Loads and stores of warps in global memory.
//!
//! Lanes that follow each other into the same 16 bytes are checked together.

use std::sync::Arc;

use super::report;
use super::sectors::Sectors;
use super::view::{Accesses, GlobalView, Group};
use crate::vm::access::{Lanes, Site, WARP, Wide, lanes};
use crate::vm::counters::Counters;
use crate::vm::fault::Fault;

impl<'a> GlobalView<'a> {
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
        let sectors = match bytes {
            16 => self.load_all::<16>(&accesses, out)?,
            8 => self.load_all::<8>(&accesses, out)?,
            4 => self.load_all::<4>(&accesses, out)?,
            2 => self.load_all::<2>(&accesses, out)?,
            _ => self.load_all::<1>(&accesses, out)?,
        };
        self.name(&accesses, false);
        counters.global_read_bytes += bytes as u64 * mask.count_ones() as u64;
        counters.global_read_sectors += sectors;
        Ok(())
    }

    /// The sectors of a load.
    #[inline]
    fn load_all<const BYTES: u32>(
        &mut self,
        accesses: &Accesses<'_>,
        out: &mut Lanes<Wide>,
    ) -> Result<u64, Fault> {
        let mut sectors = Sectors::new();
        let mut last: Option<Group<'a>> = None;
        let mut current = self.recent(accesses.site);
        for lane in (0..WARP).filter(|lane| accesses.mask >> lane & 1 == 1) {
            let address = accesses.addresses[lane];
            let allocation = self.locate::<BYTES>(accesses, lane, &mut current)?;
            let offset = (address - allocation.base) as usize;
            out[lane] = allocation.load::<BYTES>(offset);
            let bits = (((1u32 << BYTES) - 1) << (offset & 15)) as u16;
            match &mut last {
                Some(g) if g.offset == offset & !15 && Arc::ptr_eq(g.allocation, allocation) => {
                    g.mask |= bits;
                }
                _ => {
                    if let Some(group) = &last {
                        self.finish_load(accesses, group)?;
                    }
                    self.launch.prepare(allocation, offset, false);
                    sectors.add(address);
                    last = Some(Group { allocation, offset: offset & !15, mask: bits });
                }
            }
        }
        if let Some(group) = &last {
            self.finish_load(accesses, group)?;
        }
        Ok(sectors.count())
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
        let sectors = match bytes {
            16 => self.store_all::<16>(&accesses, values)?,
            8 => self.store_all::<8>(&accesses, values)?,
            4 => self.store_all::<4>(&accesses, values)?,
            2 => self.store_all::<2>(&accesses, values)?,
            _ => self.store_all::<1>(&accesses, values)?,
        };
        self.name(&accesses, true);
        counters.global_written_bytes += bytes as u64 * mask.count_ones() as u64;
        counters.global_written_sectors += sectors;
        Ok(())
    }

    /// The sectors of a store.
    #[inline]
    fn store_all<const BYTES: u32>(
        &mut self,
        accesses: &Accesses<'_>,
        values: &Lanes<Wide>,
    ) -> Result<u64, Fault> {
        let mut sectors = Sectors::new();
        let mut last: Option<Group<'a>> = None;
        let mut staged: Wide = [0; 4];
        let mut current = self.recent(accesses.site);
        for lane in (0..WARP).filter(|lane| accesses.mask >> lane & 1 == 1) {
            let address = accesses.addresses[lane];
            let allocation = self.locate::<BYTES>(accesses, lane, &mut current)?;
            let offset = (address - allocation.base) as usize;
            let bits = (((1u32 << BYTES) - 1) << (offset & 15)) as u16;
            match &mut last {
                Some(g) if g.offset == offset & !15 && Arc::ptr_eq(g.allocation, allocation) => {
                    g.mask |= bits;
                }
                _ => {
                    if let Some(group) = &last {
                        self.finish_store(accesses, group, &staged)?;
                    }
                    sectors.add(address);
                    last = Some(Group { allocation, offset: offset & !15, mask: bits });
                }
            }
            stage(&mut staged, offset & 15, BYTES, &values[lane]);
        }
        if let Some(group) = &last {
            self.finish_store(accesses, group, &staged)?;
        }
        Ok(sectors.count())
    }
}

/// Puts a lane's bytes into the 16 that are being gathered, at byte `at` of them.
#[inline]
pub(super) fn stage(staged: &mut Wide, at: usize, bytes: u32, value: &Wide) {
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
