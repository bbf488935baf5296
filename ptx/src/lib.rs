//! The kernels of the GPU backend, how they are launched, and a virtual GPU that runs them.
//! See README.md.

pub mod launch;
pub mod vm;

pub use launch::{Arg, EntryPoint, Launch, Module, Storage, entry_points};

/// The record beside the compiled kernels, JSON: compiler, sources by hash, and of every entry
/// point its registers, shared memory and spills.
pub const MANIFEST: &str = include_str!("../compiled/manifest.json");
