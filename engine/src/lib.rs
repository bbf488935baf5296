//! Devices, raw buffers and the operations that a Latent Thought Model is made of.
//!
//! * [`Buffer`]: a typed range of device memory, cheap to clone and to slice.
//! * [`Device`]: allocates, copies and runs the operations of [`Ops`].
//! * [`ops`]: one argument structure per operation, which states its shapes and checks them,
//!   so that every backend refuses the same wrong calls with the same words.
//! * [`draw`]: the rule by which a token is drawn from logits, on the host.
//! * [`cpu`]: the reference implementation, in f32.
//! * [`gpu`]: the same operations as kernels, on whatever launches them.
//!
//! Nothing here knows of models, tapes or files.

mod buffer;
pub mod cpu;
mod device;
pub mod draw;
mod dtype;
mod error;
pub mod gpu;
mod graph;
mod mark;
mod memory;
pub mod ops;
pub mod philox;
pub mod profile;
pub mod rope;
mod transfer;

pub use buffer::{Allocation, Buffer, DeviceId};
pub use device::{Device, DeviceExt, DeviceKind, open, open_within};
pub use dtype::{DType, Element};
pub use error::Error;
pub use graph::Graph;
pub use half::bf16;
pub use mark::{Clock, Mark};
pub use memory::{GPU_GRANULE, Kept, MemoryInfo, MemoryUse, Processor};
pub use ops::Ops;
pub use transfer::{HostBlock, Transfer};

/// Result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;
