//! Deliberate errors in kernels, to see that the virtual GPU and the results show them.

mod mutant;
mod mutate;

pub use mutant::{Kind, Mutant};
pub use mutate::{isolate, mutants};
