//! One allocation of global memory: its bytes, which of them are initialised, and who accessed
//! them in the current launch.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::owners::Owners;
use crate::vm::access::Wide;

/// Bytes whose owners are cleared, and whose contents are saved, together.
pub(super) const CHUNK: usize = 4096;

const _: () = assert!(align_of::<AtomicU64>() == align_of::<u64>());

/// `n` words of zero, without touching the pages of a large extent.
fn zeroed_words(n: usize) -> Box<[AtomicU32]> {
    let plain = Box::into_raw(vec![0u32; n].into_boxed_slice());
    // SAFETY: the box owns `n` words; `AtomicU32` has the size, alignment and bit validity of
    // `u32`, so the new box has the layout that the old one was allocated with.
    unsafe { Box::from_raw(plain as *mut [AtomicU32]) }
}

/// As [`zeroed_words`], 64 bits wide.
pub(super) fn zeroed_doubles(n: usize) -> Box<[AtomicU64]> {
    let plain = Box::into_raw(vec![0u64; n].into_boxed_slice());
    // SAFETY: as above; that the alignments are equal is asserted at compile time.
    unsafe { Box::from_raw(plain as *mut [AtomicU64]) }
}

/// An allocation. Every byte is accessed through relaxed atomics of one width, 32 bits, so
/// kernels whose blocks race get some value and no undefined behaviour.
pub(super) struct Allocation {
    /// First address, a multiple of 256.
    pub base: u64,
    /// Extent as asked for.
    pub bytes: u64,
    words: Box<[AtomicU32]>,
    /// A bit per byte, 64 to a word.
    written: Box<[AtomicU64]>,
    /// Who accessed each 16 bytes in the launch that its chunk was last touched in.
    pub owners: Owners,
    /// Per chunk: twice the number of that launch, plus one once its contents were saved.
    pub chunks: Box<[AtomicU64]>,
}

impl Allocation {
    pub fn new(base: u64, bytes: u64) -> Self {
        let extent = (bytes as usize).next_multiple_of(64);
        Self {
            base,
            bytes,
            words: zeroed_words(extent / 4),
            written: zeroed_doubles(extent / 64),
            owners: Owners::new(extent / 16),
            chunks: zeroed_doubles(extent.div_ceil(CHUNK)),
        }
    }

    /// Whether `bytes` bytes at `address` lie inside.
    #[inline]
    pub fn holds(&self, address: u64, bytes: u64) -> bool {
        let offset = address.wrapping_sub(self.base);
        offset < self.bytes && bytes <= self.bytes - offset
    }

    /// The value of `BYTES` bytes at an offset that is a multiple of their number.
    #[inline]
    pub fn load<const BYTES: u32>(&self, offset: usize) -> Wide {
        let at = offset / 4;
        let word = |i: usize| self.words[at + i].load(Relaxed);
        match BYTES {
            16 => {
                let w = &self.words[at..at + 4];
                [w[0].load(Relaxed), w[1].load(Relaxed), w[2].load(Relaxed), w[3].load(Relaxed)]
            }
            8 => [word(0), word(1), 0, 0],
            4 => [word(0), 0, 0, 0],
            2 => [(word(0) >> (8 * (offset & 2))) & 0xffff, 0, 0, 0],
            _ => [(word(0) >> (8 * (offset & 3))) & 0xff, 0, 0, 0],
        }
    }

    /// Writes the bytes in `mask` of the 16 bytes at `offset` (a multiple of 16). Without
    /// `exclusive`, other CPU threads may write other bytes of the same words meanwhile.
    #[inline]
    pub fn store(&self, offset: usize, mask: u16, values: &Wide, exclusive: bool) {
        let words = &self.words[offset / 4..offset / 4 + 4];
        for (i, (word, &value)) in words.iter().zip(values).enumerate() {
            match (mask >> (4 * i)) & 15 {
                0 => {}
                15 => word.store(value, Relaxed),
                part => {
                    let keep = !spread(part);
                    let merge = |old: u32| (old & keep) | (value & !keep);
                    if exclusive {
                        word.store(merge(word.load(Relaxed)), Relaxed);
                    } else {
                        let _ = word.fetch_update(Relaxed, Relaxed, |old| Some(merge(old)));
                    }
                }
            }
        }
        let bits = (mask as u64) << (offset & 63);
        let written = &self.written[offset / 64];
        let old = written.load(Relaxed);
        if old & bits != bits {
            if exclusive {
                written.store(old | bits, Relaxed);
            } else {
                written.fetch_or(bits, Relaxed);
            }
        }
    }

    /// Which of the 16 bytes at `offset` (a multiple of 16) something wrote.
    #[inline]
    pub fn written(&self, offset: usize) -> u16 {
        (self.written[offset / 64].load(Relaxed) >> (offset & 63)) as u16
    }

    /// One byte and whether something wrote it.
    pub fn byte(&self, offset: usize) -> (u8, bool) {
        let byte = self.words[offset / 4].load(Relaxed) >> (8 * (offset & 3));
        (byte as u8, self.written[offset / 64].load(Relaxed) >> (offset & 63) & 1 == 1)
    }

    /// Sets one byte and whether something wrote it. For the host, alone.
    pub fn set_byte(&self, offset: usize, byte: u8, written: bool) {
        let shift = 8 * (offset & 3);
        let word = &self.words[offset / 4];
        word.store(word.load(Relaxed) & !(0xff << shift) | (byte as u32) << shift, Relaxed);
        let bits = &self.written[offset / 64];
        let rest = bits.load(Relaxed) & !(1 << (offset & 63));
        bits.store(rest | (written as u64) << (offset & 63), Relaxed);
    }

    /// The words that cover whole bytes `range`, a multiple of 4 at both ends.
    pub fn words(&self, range: std::ops::Range<usize>) -> &[AtomicU32] {
        &self.words[range.start / 4..range.end / 4]
    }

    /// Marks bytes as written, or as not. For the host, alone.
    pub fn mark(&self, range: std::ops::Range<usize>, written: bool) {
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min((at / 64 + 1) * 64);
            let bits = (u64::MAX >> (64 - (end - at))) << (at & 63);
            let word = &self.written[at / 64];
            let old = word.load(Relaxed);
            word.store(if written { old | bits } else { old & !bits }, Relaxed);
            at = end;
        }
    }

    /// Whether something wrote every byte of `range`.
    pub fn all_written(&self, range: std::ops::Range<usize>) -> bool {
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min((at / 64 + 1) * 64);
            let bits = (u64::MAX >> (64 - (end - at))) << (at & 63);
            if self.written[at / 64].load(Relaxed) & bits != bits {
                return false;
            }
            at = end;
        }
        true
    }

    /// Contents of a chunk and which of its bytes are initialised.
    pub fn save(&self, chunk: usize) -> (Box<[u32]>, Box<[u64]>) {
        let (words, written) = self.extent(chunk);
        (
            words.iter().map(|w| w.load(Relaxed)).collect(),
            written.iter().map(|w| w.load(Relaxed)).collect(),
        )
    }

    /// Puts back what [`Allocation::save`] gave.
    pub fn restore(&self, chunk: usize, saved: &(Box<[u32]>, Box<[u64]>)) {
        let (words, written) = self.extent(chunk);
        words.iter().zip(&saved.0).for_each(|(to, &from)| to.store(from, Relaxed));
        written.iter().zip(&saved.1).for_each(|(to, &from)| to.store(from, Relaxed));
    }

    fn extent(&self, chunk: usize) -> (&[AtomicU32], &[AtomicU64]) {
        let (first, end) = (chunk * CHUNK, ((chunk + 1) * CHUNK).min(self.words.len() * 4));
        (&self.words[first / 4..end / 4], &self.written[first / 64..end / 64])
    }
}

/// A bit per byte to eight bits per byte, for four bytes.
#[inline]
fn spread(bytes: u16) -> u32 {
    (0..4).filter(|i| bytes >> i & 1 == 1).fold(0, |all, i| all | 0xff << (8 * i))
}
