//! A virtual GPU: runs compiled PTX on the CPU and checks what it does.

pub mod access;
pub mod ast;
pub mod cfg;
pub mod counters;
mod decode;
mod device;
mod error;
mod exec;
pub mod fault;
mod inst;
pub mod memory;
pub mod parse;
mod program;

pub use counters::Counters;
pub use device::{Config, VirtualGpu};
pub use error::{FaultReport, Place, VmError};
pub use memory::MemoryUse;
pub use program::Program;
