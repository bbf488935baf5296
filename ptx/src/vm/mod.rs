//! A virtual GPU: runs compiled PTX on the CPU and checks what it does.

pub mod access;
pub mod ast;
pub mod cfg;
pub mod counters;
mod device;
mod error;
pub mod fault;
pub mod parse;
mod program;

pub use device::{Config, VirtualGpu};
pub use error::{FaultReport, Place, VmError};
pub use program::Program;
