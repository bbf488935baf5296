//! Global memory as one launch sees it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, PoisonError};

use super::allocation::{Allocation, CHUNK};
use super::global::Snapshot;
use super::names::Names;
use super::owners::{Clash, Verdict};
use super::split::{Access, Splits};
use super::view::GlobalView;

/// How the blocks of a launch run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// On several CPU threads. Whether there is a fault does not depend on their number; which
    /// one comes first does. [`LaunchMemory::roll_back`] and a [`Run::Named`] run after it give
    /// the report that does not.
    Parallel,
    /// On one CPU thread, blocks in ascending order. A race between blocks is found, but its
    /// earlier access is known by its block alone.
    Serial,
    /// On one CPU thread, blocks in ascending order, keeping who accessed each word: slow, for
    /// the report of a launch that failed. Cannot be rolled back.
    Named,
}

/// A chunk as it was before the launch wrote to it.
struct Saved {
    allocation: Arc<Allocation>,
    chunk: usize,
    contents: (Box<[u32]>, Box<[u64]>),
}

/// What one launch sees of global memory: the allocations of its beginning.
pub struct LaunchMemory {
    pub(super) snapshot: Arc<Snapshot>,
    number: u64,
    /// No other CPU thread runs blocks.
    pub(super) exclusive: bool,
    saved: Mutex<Vec<Saved>>,
    splits: Mutex<Splits>,
    pub(super) names: Option<Mutex<Names>>,
    /// Held by an atomic, so that it is one with respect to the others.
    pub(super) atomics: Mutex<()>,
}

impl LaunchMemory {
    pub(super) fn new(snapshot: Arc<Snapshot>, number: u64, run: Run) -> Self {
        Self {
            snapshot,
            number,
            exclusive: run != Run::Parallel,
            saved: Mutex::default(),
            splits: Mutex::default(),
            names: (run == Run::Named).then(Mutex::default),
            atomics: Mutex::default(),
        }
    }

    /// The handle of one CPU thread.
    pub fn view(&self) -> GlobalView<'_> {
        GlobalView::new(self)
    }

    /// Undoes every write of the launch. Nothing is undone after [`Run::Named`].
    pub fn roll_back(self) {
        for saved in self.saved.into_inner().unwrap_or_else(PoisonError::into_inner) {
            saved.allocation.restore(saved.chunk, &saved.contents);
        }
    }

    /// Sectors of 32 bytes that were read and that were written since the launch began, each
    /// counted once; an atomic does both.
    pub fn distinct_sectors(&self) -> (u64, u64) {
        let splits = self.splits.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut read, mut written) = (0, 0);
        for allocation in &self.snapshot.allocations {
            let touched = |state: &AtomicU64| state.load(Acquire) >> 1 == self.number;
            for (chunk, _) in allocation.chunks.iter().enumerate().filter(|(_, s)| touched(s)) {
                for sector in chunk * CHUNK / 32..(chunk + 1) * CHUNK / 32 {
                    let (mut reads, mut writes) = (false, false);
                    for group in [2 * sector, 2 * sector + 1] {
                        let seen = allocation.owners.accessed(group).unwrap_or_else(|| {
                            splits.accessed(allocation.base + 16 * group as u64)
                        });
                        (reads, writes) = (reads | seen.0, writes | seen.1);
                    }
                    read += u64::from(reads);
                    written += u64::from(writes);
                }
            }
        }
        (read, written)
    }

    /// Before the first access to a chunk in this launch: forgets who accessed it in an earlier
    /// one. Before the first write: saves its contents.
    #[inline]
    pub(super) fn prepare(&self, allocation: &Arc<Allocation>, offset: usize, write: bool) {
        let state = allocation.chunks[offset / CHUNK].load(Acquire);
        if state < self.number << 1 | write as u64 {
            self.prepare_first(allocation, offset / CHUNK, write);
        }
    }

    #[cold]
    fn prepare_first(&self, allocation: &Arc<Allocation>, chunk: usize, write: bool) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let state = allocation.chunks[chunk].load(Acquire);
        if state < self.number << 1 {
            allocation.owners.clear(chunk * CHUNK / 16..(chunk + 1) * CHUNK / 16);
        }
        if write && state <= self.number << 1 && self.names.is_none() {
            let contents = allocation.save(chunk);
            saved.push(Saved { allocation: Arc::clone(allocation), chunk, contents });
        }
        let next = state.max(self.number << 1 | write as u64);
        allocation.chunks[chunk].store(next, Release);
    }

    /// Notes that a block accessed the bytes of `mask` of the 16 bytes at `offset`.
    #[inline]
    pub(super) fn note(
        &self,
        allocation: &Allocation,
        offset: usize,
        block: u64,
        mask: u16,
        access: Access,
    ) -> Option<Clash> {
        let verdict = match access {
            Access::Read => allocation.owners.read(offset / 16, block, mask, self.exclusive),
            Access::Write => allocation.owners.write(offset / 16, block, mask, self.exclusive),
            Access::Atomic => Verdict::Split,
        };
        match verdict {
            Verdict::Fine => None,
            Verdict::Clash(clash) => Some(clash),
            Verdict::Split => self.note_split(allocation, offset, block, mask, access),
        }
    }

    #[cold]
    fn note_split(
        &self,
        allocation: &Allocation,
        offset: usize,
        block: u64,
        mask: u16,
        access: Access,
    ) -> Option<Clash> {
        let mut splits = self.splits.lock().unwrap_or_else(PoisonError::into_inner);
        let group = allocation.base + offset as u64;
        if let Some(stamps) = allocation.owners.split(offset / 16) {
            splits.insert(group, stamps);
        }
        splits.access(group, block, mask, access)
    }
}
