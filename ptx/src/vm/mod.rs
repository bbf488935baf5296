//! A virtual GPU: runs compiled PTX on the CPU and checks what it does.

pub mod access;
pub mod ast;
pub mod counters;
pub mod fault;
pub mod memory;
