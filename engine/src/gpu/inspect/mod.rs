//! The kernels as a table: what the compiler says of each, and what the virtual GPU counts.

mod attention;
mod bench;
mod linear;
mod load;
mod rows;
mod small;
mod usage;

use super::{Gpu, LaunchRecord};
use crate::{DType, Result};
use bench::Bench;

pub use load::{Loaded, load_cuda, load_virtual};
pub use usage::{Usage, usage};

/// What one operation did at the shape of [`measure`].
#[derive(Clone, Debug)]
pub struct Measured {
    /// Operation, as in [`crate::Ops`], with what is special about the call in brackets.
    pub operation: String,
    /// Storage of its arguments; f32 where it has none in storage.
    pub storage: DType,
    /// Bytes that every implementation moves: inputs read once and outputs written once, where
    /// an output that is added to is read too.
    pub minimum_bytes: u64,
    /// Its launches, in order.
    pub launches: Vec<LaunchRecord>,
}

impl Measured {
    /// Bytes of the sectors that its launches moved to and from global memory, as if there were
    /// no cache.
    pub fn moved_bytes(&self) -> u64 {
        self.launches.iter().map(|launch| launch.counters.moved_bytes()).sum()
    }
}

/// The shape of [`measure`]: `small` with half of its width and heads, an eighth of its tokens
/// and a vocabulary that is no multiple of anything either.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Sequences.
    pub batch: usize,
    /// Tokens per sequence.
    pub seq: usize,
    /// Keys that a token sees.
    pub window: usize,
    /// Heads.
    pub heads: usize,
    /// Numbers per head.
    pub head_dim: usize,
    /// Hidden features of the feed-forward block.
    pub ffn: usize,
    /// Latents per layer.
    pub latents: usize,
    /// Layers.
    pub layers: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
}

/// What [`measure`] runs at.
pub const SHAPE: Shape = Shape {
    batch: 2,
    seq: 128,
    window: 64,
    heads: 4,
    head_dim: 64,
    ffn: 688,
    latents: 8,
    layers: 3,
    vocab: 1001,
};

impl Shape {
    /// Width of the residual stream.
    pub const fn dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Tokens in all.
    pub const fn rows(&self) -> usize {
        self.batch * self.seq
    }
}

/// Runs every operation once in each storage type on a virtual GPU of `threads` threads.
///
/// # Errors
/// The first operation that fails.
pub fn measure(threads: usize) -> Result<Vec<Measured>> {
    let mut gpu = Gpu::virtual_gpu(threads);
    let mut all = Vec::new();
    for storage in [DType::F32, DType::BF16] {
        let mut bench = Bench::new(&mut gpu, storage, &mut all);
        rows::measure(&mut bench)?;
        linear::measure(&mut bench)?;
        attention::measure(&mut bench)?;
        small::measure(&mut bench)?;
    }
    Ok(all)
}
