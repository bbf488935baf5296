//! Training text: fixed-length windows of memory-mapped shards, in an order that needs no table.
//!
//! The shards' pages are clean and shared. The kernel is told that access is random, which keeps it
//! from reading ahead what the next window will not use, and that a window just read will not be
//! read again soon, which keeps the resident size from growing to that of the corpus.

mod error;
mod loader;
mod permutation;
mod prefetch;
mod windows;

pub use error::DataError;
pub use loader::Loader;
pub use ltm_tools::shard::Split;
pub use permutation::Permutation;
pub use prefetch::{Batch, Prefetch};
pub use windows::{Windows, evenly_spaced};

#[cfg(test)]
mod tests;
