//! Which blocks of a launch read and wrote each 16 bytes of global memory.
//!
//! Two stamps per 16 bytes, one of writers and one of readers, say for each byte: nobody, one
//! block (the same for all such bytes), or, for readers, several. Bytes of one stamp that belong
//! to different blocks one by one (the ends of rows that are no multiple of 16 bytes) need more
//! room: such a stamp is marked split, and the table in `split.rs` holds it byte by byte.
//!
//! Every access puts its stamp in first and looks at the other kind second, both sequentially
//! consistent, so of two that collide at least one sees the other, whatever the order.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use super::allocation::zeroed_doubles;

/// The most blocks of a launch.
pub(super) const MOST_BLOCKS: u64 = (1 << 28) - 2;

/// In a stamp: the bytes stand in the table of split ones.
const SPLIT: u64 = 1 << 32;

/// Stamps of an allocation: bits 0 to 15 the bytes of several blocks, 16 to 31 those of one
/// block, 36 to 63 that block plus one.
pub(super) struct Owners {
    writers: Box<[AtomicU64]>,
    readers: Box<[AtomicU64]>,
}

/// A stamp taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The block of `single` plus one.
    pub owner: u64,
    /// Bytes of one block.
    pub single: u16,
    /// Bytes of several.
    pub many: u16,
}

impl Stamp {
    #[inline]
    fn unpack(stamp: u64) -> Self {
        Self { owner: stamp >> 36, single: (stamp >> 16) as u16, many: stamp as u16 }
    }

    #[inline]
    fn pack(self) -> u64 {
        self.owner << 36 | (self.single as u64) << 16 | self.many as u64
    }
}

/// Another block that accessed the same byte, one of the two writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    /// Which of the 16 bytes.
    pub byte: u32,
    /// The other block; of several readers, the first.
    pub block: u64,
    /// Whether it wrote.
    pub wrote: bool,
}

/// What the stamps say of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// The table of split groups has to decide.
    Split,
    Clash(Clash),
}

impl Owners {
    pub fn new(groups: usize) -> Self {
        Self { writers: zeroed_doubles(groups), readers: zeroed_doubles(groups) }
    }

    /// Forgets the accesses to a range of groups.
    pub fn clear(&self, groups: std::ops::Range<usize>) {
        let end = groups.end.min(self.writers.len());
        for stamp in &self.writers[groups.start..end] {
            stamp.store(0, Relaxed);
        }
        for stamp in &self.readers[groups.start..end] {
            stamp.store(0, Relaxed);
        }
    }

    /// `block` reads the bytes of `mask` of a group. With `exclusive`, no other CPU thread runs
    /// blocks.
    #[inline]
    pub fn read(&self, group: usize, block: u64, mask: u16, exclusive: bool) -> Verdict {
        let me = block + 1;
        let readers = &self.readers[group];
        let mut old = readers.load(SeqCst);
        loop {
            let mut stamp = Stamp::unpack(old);
            let mine = if stamp.owner == me { stamp.single } else { 0 };
            if mask & !(stamp.many | mine) == 0 {
                break;
            }
            if old & SPLIT != 0 {
                return Verdict::Split;
            }
            if old == 0 || stamp.owner == me {
                stamp.owner = me;
                stamp.single |= mask & !stamp.many;
            } else {
                let fresh = mask & !(stamp.many | stamp.single);
                let both = mask & stamp.single;
                stamp.many |= both;
                stamp.single &= !both;
                if fresh != 0 && stamp.single != 0 {
                    return Verdict::Split;
                }
                // The first of several readers stays on record until its stamp is needed.
                if fresh != 0 {
                    stamp.owner = me;
                    stamp.single = fresh;
                }
            }
            match replace(readers, old, stamp.pack(), exclusive) {
                Ok(()) => break,
                Err(now) => old = now,
            }
        }
        let writers = self.writers[group].load(SeqCst);
        if writers == 0 {
            return Verdict::Fine;
        }
        let stamp = Stamp::unpack(writers);
        if writers & SPLIT != 0 {
            Verdict::Split
        } else if stamp.owner != me && stamp.single & mask != 0 {
            clash(stamp, mask, true)
        } else {
            Verdict::Fine
        }
    }

    /// `block` writes the bytes of `mask` of a group.
    #[inline]
    pub fn write(&self, group: usize, block: u64, mask: u16, exclusive: bool) -> Verdict {
        let me = block + 1;
        let writers = &self.writers[group];
        let mut old = writers.load(SeqCst);
        loop {
            let mut stamp = Stamp::unpack(old);
            if stamp.owner == me && mask & !stamp.single == 0 {
                break;
            }
            if old & SPLIT != 0 {
                return Verdict::Split;
            }
            if old != 0 && stamp.owner != me {
                if stamp.single & mask != 0 {
                    return clash(stamp, mask, true);
                }
                return Verdict::Split;
            }
            stamp.owner = me;
            stamp.single |= mask;
            match replace(writers, old, stamp.pack(), exclusive) {
                Ok(()) => break,
                Err(now) => old = now,
            }
        }
        let readers = self.readers[group].load(SeqCst);
        if readers == 0 {
            return Verdict::Fine;
        }
        let stamp = Stamp::unpack(readers);
        if readers & SPLIT != 0 {
            Verdict::Split
        } else if stamp.many & mask != 0 || (stamp.owner != me && stamp.single & mask != 0) {
            clash(stamp, mask, false)
        } else {
            Verdict::Fine
        }
    }

    /// Whether a group was read, and whether it was written; `None` where the table of split ones
    /// has to say. Not beyond the last group.
    pub fn accessed(&self, group: usize) -> Option<(bool, bool)> {
        let stamp = |stamps: &[AtomicU64]| stamps.get(group).map_or(0, |s| s.load(Relaxed));
        match (stamp(&self.readers), stamp(&self.writers)) {
            (read, written) if (read | written) & SPLIT != 0 => None,
            (read, written) => Some((read != 0, written != 0)),
        }
    }

    /// Marks a group split and gives its stamps of writers and readers until now; `None` where
    /// it was split already. Under the lock of the table.
    pub fn split(&self, group: usize) -> Option<(Stamp, Stamp)> {
        let writers = self.writers[group].swap(SPLIT, SeqCst);
        let readers = self.readers[group].swap(SPLIT, SeqCst);
        (writers & SPLIT == 0).then(|| (Stamp::unpack(writers), Stamp::unpack(readers)))
    }
}

#[cold]
fn clash(stamp: Stamp, mask: u16, wrote: bool) -> Verdict {
    let byte = ((stamp.single | stamp.many) & mask).trailing_zeros();
    Verdict::Clash(Clash { byte, block: stamp.owner.saturating_sub(1), wrote })
}

#[inline]
fn replace(stamp: &AtomicU64, old: u64, new: u64, exclusive: bool) -> Result<(), u64> {
    if exclusive {
        stamp.store(new, Relaxed);
        return Ok(());
    }
    stamp.compare_exchange(old, new, SeqCst, SeqCst).map(|_| ())
}
