//! The kernels of the GPU backend, how they are launched, and a virtual GPU that runs them.
//! See README.md.

pub mod launch;
pub mod vm;

pub use launch::{Arg, EntryPoint, Launch, Module, Storage, entry_points};
