//! Atomics on shared memory.

use super::atomic::Atomic;
use super::clocks::Clocks;
use super::shadow::Kind;
use super::shared::{Accesses, SharedMemory, count};
use super::shared_report as report;
use crate::vm::access::{Lanes, Site, lanes};
use crate::vm::counters::Counters;
use crate::vm::fault::Fault;

impl SharedMemory {
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
}
