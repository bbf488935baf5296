//! One block: its warps take turns, each running until it waits or ends.

use super::barrier::{BARRIERS, Barrier};
use super::fresh::Fresh;
use super::warp::{Geometry, State, Wanted, Warp};
use crate::vm::access::Site;
use crate::vm::counters::Counters;
use crate::vm::error::block_of;
use crate::vm::fault::{Fault, FaultKind};
use crate::vm::inst::{BarrierResult, CLASSES, Inst, NONE, Op, Slot};
use crate::vm::memory::{GlobalView, SharedMemory};
use crate::vm::program::{Kernel, Program};

/// What a launch fixes for all of its blocks.
#[derive(Clone, Copy)]
pub(super) struct Shape<'a> {
    pub(super) program: &'a Program,
    pub(super) kernel: &'a Kernel,
    pub(super) geometry: Geometry,
    /// The parameter block.
    pub(super) parameters: &'a [u8],
    /// Warp instructions that a block may issue.
    pub(super) budget: u64,
    /// Extents of the shared variables, ascending.
    pub(super) regions: &'a [std::ops::Range<u32>],
}

/// A CPU thread's block, reused from one to the next.
pub(super) struct Block<'a> {
    pub(super) shape: Shape<'a>,
    pub(super) global: GlobalView<'a>,
    pub(super) shared: SharedMemory,
    warps: Vec<Warp>,
    barriers: [Barrier; BARRIERS],
    /// Linear index in the grid.
    pub(super) index: u64,
    pub(super) counters: Counters,
    /// Warp instructions by class, over all blocks.
    pub(super) classes: [u64; CLASSES],
    /// Warp instructions of this block.
    pub(super) issued: u64,
    /// Where index arithmetic wrapped, in a run that looks for it.
    pub(super) wraps: Option<super::wraps::Wraps>,
    /// What warps wrote to global memory, in kernels whose warps meet at barriers.
    pub(super) fresh: Option<Fresh>,
}

/// How a warp arrives at a barrier.
pub(super) struct Arrival {
    pub(super) pc: u32,
    pub(super) id: u32,
    /// Threads that the barrier takes, `None` for the whole block.
    pub(super) threads: Option<u32>,
    /// Without waiting.
    pub(super) arrive: bool,
    pub(super) result: BarrierResult,
    pub(super) d: Slot,
    /// Lanes whose predicate holds.
    pub(super) holding: u32,
    /// Lanes that arrive.
    pub(super) mask: u32,
}

impl<'a> Block<'a> {
    /// A block for launches of this shape; `naming` makes it find out what can be known of a
    /// fault: whether its index wrapped, and who writes later what was read too early.
    pub(super) fn new(shape: Shape<'a>, global: GlobalView<'a>, naming: bool) -> Self {
        let mut shared = SharedMemory::new();
        if naming {
            shared.hold_unwritten();
        }
        let meets = |inst: &Inst| matches!(inst.op, Op::Barrier { .. });
        let meet = shape.geometry.warps() > 1 && shape.kernel.code.iter().any(meets);
        let warps = (0..shape.geometry.warps())
            .map(|index| Warp::new(shape.kernel, &shape.geometry, index))
            .collect();
        Self {
            shape,
            global,
            shared,
            warps,
            barriers: [Barrier::default(); BARRIERS],
            index: 0,
            counters: Counters::default(),
            classes: [0; CLASSES],
            issued: 0,
            wraps: naming.then(super::wraps::Wraps::default),
            fresh: meet.then(Fresh::default),
        }
    }

    /// Who is at instruction `pc`.
    pub(super) fn site(&self, warp: u32, pc: u32) -> Site {
        Site { block: self.index, warp, pc }
    }

    /// Runs block `index` to its end.
    pub(super) fn run(&mut self, index: u64) -> Result<(), Fault> {
        let Shape { kernel, geometry, .. } = self.shape;
        self.index = index;
        self.issued = 0;
        self.barriers = [Barrier::default(); BARRIERS];
        self.shared.reset(self.shape.regions, geometry.threads(), kernel.subsets);
        let at = block_of(index, geometry.grid);
        for warp in &mut self.warps {
            warp.reset(kernel, &geometry, at);
        }
        if let Some(fresh) = &mut self.fresh {
            fresh.clear();
        }
        if let Some(wraps) = &mut self.wraps {
            wraps.reset(self.warps.len(), kernel.function.registers.len());
        }
        let mut warps = std::mem::take(&mut self.warps);
        let result = self.rounds(&mut warps);
        self.warps = warps;
        let Some(read) = self.shared.held_read() else { return result };
        let of_that_read = |fault: &Fault| {
            fault.kind == FaultKind::Race
                && fault.other.is_some_and(|(site, ..)| {
                    (site.warp, site.pc) == (read.site.warp, read.site.pc)
                })
        };
        match result {
            Err(race) if of_that_read(&race) => Err(race),
            _ => Err(read),
        }
    }

    /// Turns of the warps in order, until all are done.
    fn rounds(&mut self, warps: &mut [Warp]) -> Result<(), Fault> {
        loop {
            let mut ran = false;
            for at in 0..warps.len() {
                if warps[at].state == State::Ready {
                    ran = true;
                    self.turn(warps, at)?;
                }
            }
            if ran {
                continue;
            }
            return match warps.iter().find(|warp| warp.state != State::Done) {
                None => Ok(()),
                Some(stuck) => Err(self.stuck(warps, stuck)),
            };
        }
    }

    /// Runs a warp until it waits at a barrier that others have still to reach, or ends.
    fn turn(&mut self, warps: &mut [Warp], at: usize) -> Result<(), Fault> {
        while warps[at].state == State::Ready {
            match self.run_warp(&mut warps[at])? {
                None => {
                    warps[at].state = State::Done;
                    self.shared.exit(at as u32);
                }
                Some(arrival) => self.arrive(warps, at, arrival)?,
            }
        }
        Ok(())
    }

    fn fault(&self, warp: &Warp, pc: u32, lane: u32, kind: FaultKind, detail: String) -> Fault {
        Fault { kind, site: self.site(warp.index, pc), lane, detail, other: None }
    }

    fn arrive(&mut self, warps: &mut [Warp], at: usize, arrival: Arrival) -> Result<(), Fault> {
        let Arrival { pc, id, threads, arrive, result, d, holding, mask } = arrival;
        let lane = mask.trailing_zeros() & 31;
        let warp = &warps[at];
        let wrong = |detail: String| self.fault(warp, pc, lane, FaultKind::Barrier, detail);
        if mask != warp.born {
            let missing = warp.born & !mask;
            let how = match missing & warp.live {
                0 => "have exited",
                _ => "have gone another way",
            };
            return Err(wrong(format!(
                "lanes {missing:#010x} of the warp do not reach the barrier: they {how}"
            )));
        }
        let Some(barrier) = self.barriers.get(id as usize).copied() else {
            return Err(wrong(format!("barrier {id}, of which there are {BARRIERS}")));
        };
        if let Some(threads) = threads
            && (threads == 0 || threads % 32 != 0 || threads > 32 * warps.len() as u32)
        {
            return Err(wrong(format!(
                "a barrier of {threads} threads in a block of {} warps",
                warps.len()
            )));
        }
        let wants = threads.unwrap_or(0);
        if !barrier.is_idle() && barrier.threads != wants {
            return Err(wrong(format!(
                "barrier {id} with {wants} threads, while others wait there for {} (0: all)",
                barrier.threads
            )));
        }
        if barrier.arrived >> at & 1 != 0 {
            return Err(wrong(format!(
                "the warp arrives at barrier {id} again before the others have passed it"
            )));
        }
        let barrier = &mut self.barriers[id as usize];
        barrier.threads = wants;
        barrier.arrived |= 1 << at;
        barrier.holding += (holding & mask).count_ones();
        barrier.lanes += mask.count_ones();
        self.counters.barriers += 1;
        if !arrive {
            barrier.waiting |= 1 << at;
            let wanted = match result {
                _ if d == NONE => Wanted::Nothing,
                BarrierResult::None => Wanted::Nothing,
                BarrierResult::Popc => Wanted::Word(d),
                BarrierResult::And | BarrierResult::Or => Wanted::Predicate(d),
            };
            warps[at].state = State::Waiting { barrier: id as usize, pc, wanted };
        }
        let all = if warps.len() == 32 { u32::MAX } else { (1 << warps.len()) - 1 };
        if barrier.is_complete(all) {
            let done = std::mem::take(barrier);
            if let Some(read) = self.shared.held_read() {
                return Err(read);
            }
            self.shared.barrier(done.arrived);
            if let Some(fresh) = &mut self.fresh {
                fresh.clear();
            }
            release(warps, &done, result);
        }
        Ok(())
    }

    /// Why nobody can go on.
    fn stuck(&self, warps: &[Warp], stuck: &Warp) -> Fault {
        let (id, pc) = match stuck.state {
            State::Waiting { barrier, pc, .. } => (barrier, pc),
            State::Ready | State::Done => (0, 0),
        };
        let barrier = &self.barriers[id];
        let gone = warps.iter().filter(|warp| warp.state == State::Done).count();
        let lane = stuck.live.trailing_zeros() & 31;
        let elsewhere = warps
            .iter()
            .any(|warp| matches!(warp.state, State::Waiting { barrier, .. } if barrier != id));
        let kind = if elsewhere || barrier.threads != 0 {
            FaultKind::Deadlock
        } else {
            FaultKind::Barrier
        };
        let detail = format!(
            "{} of {} warps wait at barrier {id}, which takes {}; {gone} warps have ended",
            barrier.waiting.count_ones(),
            warps.len(),
            match barrier.threads {
                0 => "all".to_string(),
                threads => format!("{threads} threads"),
            }
        );
        self.fault(stuck, pc, lane, kind, detail)
    }
}

/// Lets the warps that waited go on, with what they wanted.
fn release(warps: &mut [Warp], done: &Barrier, result: BarrierResult) {
    for warp in warps.iter_mut().filter(|warp| done.waiting >> warp.index & 1 != 0) {
        if let State::Waiting { wanted, .. } = warp.state {
            let mask = warp.live;
            match wanted {
                Wanted::Nothing => {}
                Wanted::Word(d) => warp.registers.set_word(d, &[done.holding; 32], mask),
                Wanted::Predicate(d) => {
                    let holds = match result {
                        BarrierResult::And => done.holding == done.lanes,
                        _ => done.holding != 0,
                    };
                    warp.registers.set_predicate(d, if holds { u32::MAX } else { 0 }, mask);
                }
            }
        }
        warp.state = State::Ready;
    }
}
