//! Compiles the CUDA sources of `ptx/kernels` to the PTX and the manifest that are committed.
//!
//! The build of the program never comes here: it takes the compiled files as they are. NVRTC
//! needs no host compiler and no headers, and its text does not depend on the directory.

mod addresses;
mod apart;
mod compile;
mod error;
mod manifest;
mod nvrtc;
mod ptxas;
mod toolchain;

pub use addresses::fix as fix_addresses;
pub use apart::Source;
use compile::OPTIONS;
pub use compile::{Compiled, compile_all, files_below};
pub use error::Error;
pub use manifest::{EntryUsage, Manifest, ModuleRecord};
pub use ptxas::Usage;
pub use toolchain::Toolchain;
