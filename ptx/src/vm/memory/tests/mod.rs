//! Every check both ways: the pattern that is right passes, the broken one is named.

// A block with one variable has one region.
#![allow(clippy::single_range_in_vec_init)]

mod blocks;
mod copies;
mod counting;
mod global;
mod ordering;
mod shared;

use crate::vm::access::{Lanes, Site, Wide};

/// All lanes.
const ALL: u32 = u32::MAX;

fn site(block: u64, warp: u32, pc: u32) -> Site {
    Site { block, warp, pc }
}

/// `first + step * lane`.
fn row(first: u32, step: u32) -> Lanes<u32> {
    std::array::from_fn(|lane| first + step * lane as u32)
}

/// `first + step * lane`.
fn row64(first: u64, step: u64) -> Lanes<u64> {
    std::array::from_fn(|lane| first + step * lane as u64)
}

/// Lane `i` holds words that tell it from the others.
fn values() -> Lanes<Wide> {
    std::array::from_fn(|lane| std::array::from_fn(|word| 0x0101_0101 * (lane + 64 * word) as u32))
}

const ZEROS: Lanes<Wide> = [[0; 4]; 32];
