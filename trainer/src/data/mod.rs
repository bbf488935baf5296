//! Training text: fixed-length windows of memory-mapped shards, in an order that needs no table.
//!
//! The shards' pages are clean and shared: they count in the resident size of the process, but the
//! kernel takes them back whenever it needs the memory, so a resident size that grows to the size
//! of the corpus is not a leak. The kernel is told that access is random, which keeps it from
//! reading ahead what the next window will not use.

mod error;
mod loader;
mod permutation;
mod windows;

pub use error::DataError;
pub use loader::Loader;
pub use ltm_tools::shard::Split;
pub use permutation::Permutation;
pub use windows::{Windows, evenly_spaced};

#[cfg(test)]
mod tests;
