//! The memories of the virtual GPU: what they hold, and the checks on every access.
//!
//! Global memory belongs to the device: [`GlobalMemory`] is its host side, [`LaunchMemory`] what
//! one launch sees of it, [`GlobalView`] the handle of one CPU thread that runs blocks.
//! [`SharedMemory`] belongs to one executing block.

mod allocation;
mod atomic;
mod banks;
mod clocks;
mod copies;
mod error;
mod global;
mod launch;
mod names;
mod owners;
mod quick;
mod report;
mod sectors;
mod shadow;
mod shared;
mod shared_atomic;
mod shared_report;
mod split;
mod synchronise;
mod transfer;
mod view;

#[cfg(test)]
mod tests;

pub use atomic::{Atomic, AtomicOp, AtomicType};
pub use error::MemoryError;
pub use global::{GRANULE, GlobalMemory, MemoryUse};
pub use launch::{LaunchMemory, Run};
pub use shared::SharedMemory;
pub use view::GlobalView;
