//! Global memory as the host sees it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::allocation::Allocation;
use super::error::MemoryError;
use super::launch::{LaunchMemory, Run};
use super::owners::MOST_BLOCKS;

/// Where allocations begin: far from any 32-bit value and from zero.
const FIRST: u64 = 0x7f00_0000_0000;
/// The least distance between two allocations. A larger one stays its own extent away from the
/// next, so that an index that is wrong by a whole tensor still meets nothing.
const GUARD: u64 = 1 << 16;
/// Freed allocations that a report can still name.
const FREED: usize = 256;

/// Blocks are handed out in multiples of this.
pub const GRANULE: u64 = 256;

/// What is allocated, counted in whole granules of 256 bytes; variables of modules left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes in use.
    pub used: u64,
    /// The most that were in use at once.
    pub peak: u64,
    /// Allocations so far, those given back included.
    pub allocations: u64,
}

/// What a launch sees: the allocations in ascending order, and the ranges freed last.
#[derive(Default)]
pub(super) struct Snapshot {
    pub allocations: Vec<Arc<Allocation>>,
    pub freed: Vec<Range<u64>>,
}

/// An allocation that takes memory of the host once something touches it.
struct Entry {
    bytes: u64,
    /// What of it counts as used.
    charged: u64,
    /// Whether it begins as zeros, and not as undefined bytes.
    zeroed: bool,
    backing: Option<Arc<Allocation>>,
}

struct Table {
    allocations: BTreeMap<u64, Entry>,
    freed: Vec<Range<u64>>,
    next: u64,
    usage: MemoryUse,
    launches: u64,
    /// Of the allocations as they are, once a launch asked for it.
    snapshot: Option<Arc<Snapshot>>,
}

/// The global memory of a virtual device. Allocations lie apart in a 64-bit address space of
/// their own, and no address is given out twice. One launch at a time; the host waits for its end
/// before it touches memory (else it sees some bytes of before and some of after).
pub struct GlobalMemory {
    budget: u64,
    table: Mutex<Table>,
}

impl GlobalMemory {
    /// A memory of at most `budget` bytes. Bytes that kernels have accessed take about twice
    /// their extent of the host's memory.
    pub fn new(budget: u64) -> Self {
        let table = Table {
            allocations: BTreeMap::new(),
            freed: Vec::new(),
            next: FIRST,
            usage: MemoryUse::default(),
            launches: 0,
            snapshot: None,
        };
        Self { budget, table: Mutex::new(table) }
    }

    /// A new allocation; nothing in it is initialised. Aligned to 256 bytes; of no bytes, it is
    /// an address that nothing can access. It takes memory of the host when something touches it,
    /// or at the next launch.
    ///
    /// # Errors
    /// [`MemoryError::Budget`].
    pub fn alloc(&self, bytes: u64) -> Result<u64, MemoryError> {
        self.place(bytes, false, true)
    }

    /// As [`GlobalMemory::alloc`], but every byte is zero.
    ///
    /// # Errors
    /// [`MemoryError::Budget`].
    pub fn alloc_zeroed(&self, bytes: u64) -> Result<u64, MemoryError> {
        self.place(bytes, true, true)
    }

    /// Zeros for a variable of a module, which belongs to its code: it does not count as used.
    ///
    /// # Errors
    /// [`MemoryError::Budget`].
    pub fn alloc_variable(&self, bytes: u64) -> Result<u64, MemoryError> {
        self.place(bytes, true, false)
    }

    fn place(&self, bytes: u64, zeroed: bool, counts: bool) -> Result<u64, MemoryError> {
        let mut table = self.table();
        let used = table.usage.used;
        let over = MemoryError::Budget { asked: bytes, used, budget: self.budget };
        let charged = bytes.checked_next_multiple_of(GRANULE).ok_or(over)?;
        let charged = if counts { charged } else { 0 };
        let used = used.checked_add(charged).filter(|&u| u <= self.budget).ok_or(over)?;
        let base = table.next;
        let next = bytes
            .max(GUARD)
            .checked_next_multiple_of(GRANULE)
            .and_then(|gap| gap.checked_mul(2))
            .and_then(|step| base.checked_add(step))
            .ok_or(over)?;
        table.next = next;
        table.usage.used = used;
        table.usage.peak = table.usage.peak.max(used);
        table.usage.allocations += u64::from(counts);
        table.allocations.insert(base, Entry { bytes, charged, zeroed, backing: None });
        table.snapshot = None;
        Ok(base)
    }

    /// Gives an allocation back.
    ///
    /// # Errors
    /// [`MemoryError::NotAllocated`].
    pub fn free(&self, address: u64) -> Result<(), MemoryError> {
        let mut table = self.table();
        let gone =
            table.allocations.remove(&address).ok_or(MemoryError::NotAllocated { address })?;
        table.usage.used -= gone.charged;
        if table.freed.len() == FREED {
            table.freed.remove(0);
        }
        table.freed.push(address..address + gone.bytes);
        table.snapshot = None;
        Ok(())
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn write(&self, address: u64, from: &[u8]) -> Result<(), MemoryError> {
        let (allocation, range) = self.table().find(address, from.len() as u64)?;
        let (head, body) = aligned(&range);
        let (first, rest) = from.split_at(head.len());
        let (middle, last) = rest.split_at(body.len());
        for (at, &byte) in head.clone().zip(first).chain((body.end..range.end).zip(last)) {
            allocation.set_byte(at, byte, true);
        }
        for (word, four) in allocation.words(body).iter().zip(middle.chunks_exact(4)) {
            word.store(u32::from_le_bytes([four[0], four[1], four[2], four[3]]), Relaxed);
        }
        allocation.mark(range, true);
        Ok(())
    }

    /// Reads bytes, initialised or not (see [`GlobalMemory::initialised`]).
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<(), MemoryError> {
        let (allocation, range) = self.table().find(address, into.len() as u64)?;
        let (head, body) = aligned(&range);
        let (first, rest) = into.split_at_mut(head.len());
        let (middle, last) = rest.split_at_mut(body.len());
        for (at, byte) in head.clone().zip(first).chain((body.end..range.end).zip(last)) {
            *byte = allocation.byte(at).0;
        }
        for (word, four) in allocation.words(body).iter().zip(middle.chunks_exact_mut(4)) {
            four.copy_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        Ok(())
    }

    /// Sets bytes to zero.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn zero(&self, address: u64, bytes: u64) -> Result<(), MemoryError> {
        let (allocation, range) = self.table().find(address, bytes)?;
        let (head, body) = aligned(&range);
        for at in head.chain(body.end..range.end) {
            allocation.set_byte(at, 0, true);
        }
        for word in allocation.words(body) {
            word.store(0, Relaxed);
        }
        allocation.mark(range, true);
        Ok(())
    }

    /// Copies bytes and what is known of them; the ranges may overlap.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), MemoryError> {
        let mut table = self.table();
        let (target, into) = table.find(to, bytes)?;
        let (source, range) = table.find(from, bytes)?;
        drop(table);
        let words = into.start % 4 == 0 && range.start % 4 == 0 && range.len() % 4 == 0;
        if words && !Arc::ptr_eq(&target, &source) && source.all_written(range.clone()) {
            for (to, from) in target.words(into.clone()).iter().zip(source.words(range)) {
                to.store(from.load(Relaxed), Relaxed);
            }
            target.mark(into, true);
            return Ok(());
        }
        let held: Vec<(u8, bool)> = range.map(|at| source.byte(at)).collect();
        for (at, (byte, written)) in into.zip(held) {
            target.set_byte(at, byte, written);
        }
        Ok(())
    }

    /// Whether something wrote each of these bytes.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn initialised(&self, address: u64, bytes: u64) -> Result<bool, MemoryError> {
        let (allocation, range) = self.table().find(address, bytes)?;
        Ok(allocation.all_written(range))
    }

    /// What is allocated.
    pub fn usage(&self) -> MemoryUse {
        self.table().usage
    }

    /// Begins a launch of `blocks` blocks: the allocations as they are now.
    ///
    /// # Errors
    /// [`MemoryError::Blocks`].
    pub fn launch(&self, blocks: u64, run: Run) -> Result<LaunchMemory, MemoryError> {
        if blocks > MOST_BLOCKS {
            return Err(MemoryError::Blocks { asked: blocks, most: MOST_BLOCKS });
        }
        let mut table = self.table();
        table.launches += 1;
        let Table { allocations, freed, snapshot, launches, .. } = &mut *table;
        let snapshot = snapshot.get_or_insert_with(|| {
            Arc::new(Snapshot {
                allocations: allocations.iter_mut().map(|(&at, e)| e.backing(at)).collect(),
                freed: freed.clone(),
            })
        });
        Ok(LaunchMemory::new(Arc::clone(snapshot), *launches, run))
    }

    /// The table is whole between statements, so a panic of another holder leaves it usable.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The allocation that holds a range, and the range in it.
    fn find(
        &mut self,
        address: u64,
        bytes: u64,
    ) -> Result<(Arc<Allocation>, Range<usize>), MemoryError> {
        let outside = MemoryError::OutOfBounds { address, bytes };
        let (&base, entry) = self.allocations.range_mut(..=address).next_back().ok_or(outside)?;
        let first = address - base;
        let end = first.checked_add(bytes).filter(|&e| e <= entry.bytes).ok_or(outside)?;
        Ok((entry.backing(base), first as usize..end as usize))
    }
}

impl Entry {
    /// Its bytes on the host.
    fn backing(&mut self, base: u64) -> Arc<Allocation> {
        let (bytes, zeroed) = (self.bytes, self.zeroed);
        let backing = self.backing.get_or_insert_with(|| {
            let allocation = Allocation::new(base, bytes);
            if zeroed {
                allocation.mark(0..bytes as usize, true);
            }
            Arc::new(allocation)
        });
        Arc::clone(backing)
    }
}

/// The bytes of a range before its first whole word, and its whole words.
fn aligned(range: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let first = range.start.next_multiple_of(4).min(range.end);
    let end = first + (range.end - first) / 4 * 4;
    (range.start..first, first..end)
}
