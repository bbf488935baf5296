//! Asynchronous copies on their way: `cp.async` and its groups.

use std::collections::VecDeque;

use crate::vm::access::{Lanes, WARP, Wide, lanes};

/// A copy of one lane that has not landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// First byte in shared memory.
    pub destination: u32,
    /// Bytes that land: 4, 8 or 16.
    pub bytes: u32,
    /// What lands.
    pub value: Wide,
    /// The instruction that issued it.
    pub pc: u32,
    /// The lane that did.
    pub lane: u32,
    /// How many groups the lane had committed by then.
    pub group: u32,
}

/// Copies of one warp, as issued.
#[derive(Default)]
struct Queue {
    held: VecDeque<Held>,
    committed: Lanes<u32>,
    /// The lanes differ in the groups they committed, so `held` is not in the order of groups.
    uneven: bool,
}

/// Copies of a block.
pub(super) struct Copies {
    queues: Vec<Queue>,
}

impl Default for Copies {
    fn default() -> Self {
        Self { queues: (0..WARP).map(|_| Queue::default()).collect() }
    }
}

impl Copies {
    /// Begins a block, with every destination that nothing landed at.
    pub fn reset(&mut self, mut dropped: impl FnMut(&Held)) {
        for queue in &mut self.queues {
            queue.held.drain(..).for_each(|held| dropped(&held));
            queue.committed = [0; WARP];
            queue.uneven = false;
        }
    }

    /// A copy begins; its group is set here.
    #[inline]
    pub fn issue(&mut self, warp: u32, mut held: Held) {
        let queue = &mut self.queues[warp as usize];
        held.group = queue.committed[held.lane as usize];
        queue.held.push_back(held);
    }

    /// The copies of these lanes since their last commit are a group.
    pub fn commit(&mut self, warp: u32, mask: u32) {
        let queue = &mut self.queues[warp as usize];
        lanes(mask).for_each(|lane| queue.committed[lane] += 1);
        queue.uneven |= mask != u32::MAX;
    }

    /// All but the newest `left` groups of these lanes land, in the order of issue.
    pub fn wait(&mut self, warp: u32, mask: u32, left: u32, mut land: impl FnMut(&Held)) {
        let queue = &mut self.queues[warp as usize];
        let mut limits = [0; WARP];
        for lane in lanes(mask) {
            limits[lane] = queue.committed[lane].saturating_sub(left);
        }
        let newest = limits.iter().copied().max().unwrap_or(0);
        let (mut kept, mut at) = (0, 0);
        while at < queue.held.len() {
            let held = queue.held[at];
            if held.group < limits[held.lane as usize] {
                land(&held);
            } else if held.group >= newest && !queue.uneven {
                break;
            } else {
                queue.held[kept] = held;
                kept += 1;
            }
            at += 1;
        }
        queue.held.drain(kept..at);
    }

    /// The copy on its way to a byte: its warp and itself.
    pub fn find(&self, address: u32) -> Option<(u32, Held)> {
        (0..).zip(&self.queues).find_map(|(warp, queue)| {
            let at = queue.held.iter().find(|h| address.wrapping_sub(h.destination) < h.bytes)?;
            Some((warp, *at))
        })
    }
}
