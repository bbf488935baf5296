//! What orders the accesses of a block: barriers, and copies that land when they are waited for.

use super::clocks::Clocks;
use super::copies::Held;
use super::shadow::Kind;
use super::shared::{Accesses, LEVEL, PENDING, SharedMemory, bits, count};
use super::shared_report as report;
use super::view::GlobalView;
use crate::vm::access::{Lanes, Site, WARP, lanes};
use crate::vm::counters::Counters;
use crate::vm::fault::Fault;

impl SharedMemory {
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
        let mut values = [[0; 4]; WARP];
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
        let quick = self.quick(site.warp);
        for lane in lanes(mask) {
            let destination = destinations[lane];
            let me = Clocks::of_lane(stamp, lane);
            let done = copy_bytes == 16
                && quick.is_some_and(|quick| {
                    self.quick_level::<16>(destination, 0).is_some_and(|level| {
                        self.shadow.quick_write(quick, level, destination, 16, me, false)
                    })
                });
            if !done {
                self.enter(&accesses, lane, copy_bytes)?;
                if let Err(clash) = self.note(destination, copy_bytes, me, Kind::Copy) {
                    return Err(report::race(&accesses, lane, clash, Kind::Copy));
                }
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
}
