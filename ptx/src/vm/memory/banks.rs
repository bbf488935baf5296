//! Bank conflicts of shared memory: 32 banks of 4 bytes.

use crate::vm::access::{Lanes, WARP, lanes};

/// Passes over the banks that the lanes of `mask` take beyond the least possible. Lanes go
/// through in phases of as many as fill the banks at `bytes` a lane (32 up to 4 bytes, 16 at 8,
/// 8 at 16); one pass serves one word of each bank, to any number of lanes.
#[inline]
pub(super) fn conflicts(mask: u32, addresses: &Lanes<u32>, bytes: u32) -> u64 {
    let first = addresses[0];
    let in_a_row = |step: u32| {
        (0..WARP).fold(true, |all, i| {
            all & (addresses[i] == first.wrapping_add((i as u32).wrapping_mul(step)))
        })
    };
    if mask == u32::MAX && (in_a_row(bytes) || in_a_row(0)) {
        return 0;
    }
    let unit = bytes.max(4).trailing_zeros();
    let banks = 128 >> unit;
    let all = if banks == WARP { u32::MAX } else { (1 << banks) - 1 };
    (0..WARP / banks)
        .map(|phase| mask & all << (phase * banks))
        .filter(|&part| part != 0)
        .map(|part| passes(part, addresses, unit, banks) - 1)
        .sum()
}

/// Passes of one phase: the most distinct words, of `1 << unit` bytes, that one bank is asked
/// for.
fn passes(part: u32, addresses: &Lanes<u32>, unit: u32, banks: usize) -> u64 {
    let seen = lanes(part)
        .fold(0u32, |seen, lane| seen | 1 << (addresses[lane] >> unit & (banks as u32 - 1)));
    if seen.count_ones() == part.count_ones() {
        return 1;
    }
    let mut all: Vec<u32> = lanes(part).map(|lane| addresses[lane] >> unit).collect();
    all.sort_unstable_by_key(|&word| (word as usize % banks, word));
    all.dedup();
    let same_bank = |a: &u32, b: &u32| *a as usize % banks == *b as usize % banks;
    all.chunk_by(same_bank).map(|words| words.len() as u64).max().unwrap_or(1)
}
