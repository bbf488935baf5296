//! The kernels as a table: what the compiler says of each, and what the virtual GPU counts.

mod attention;
mod bench;
mod latent_block;
mod linear;
mod linear_rms_norm;
mod load;
mod noting;
mod rows;
mod small;
#[cfg(test)]
mod tests;
mod usage;

use ltm_ptx::EntryPoint;

use super::{Gpu, LaunchRecord, Ledger};
use crate::{DType, Result};
use bench::Bench;
use noting::Noting;

pub use load::{Loaded, load_cuda, load_virtual};
pub use usage::{Usage, usage};

/// What one call of an operation did.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Operation, as in [`crate::Ops`], with what the call changes in brackets.
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

/// The shape of [`measure`]: `small` with half of its width and heads, an eighth of its tokens, a
/// quarter of its window, and a vocabulary that is no multiple of anything either. Calls that
/// reach a kernel which this shape does not choose say what they change in brackets.
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

/// How a kernel is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchShape {
    /// What runs.
    pub entry: &'static EntryPoint,
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// Dynamic shared memory of a block, bytes.
    pub shared_bytes: u32,
}

/// The launches of [`measure`], in their order, without running them.
///
/// # Errors
/// The first operation that refuses its arguments.
pub fn launches() -> Result<Vec<LaunchShape>> {
    let all = call_all(&mut Gpu::new(Ledger::noting()))?;
    let shape = |launch: LaunchRecord| {
        let LaunchRecord { entry, grid, block, shared_bytes, .. } = launch;
        LaunchShape { entry, grid, block, shared_bytes }
    };
    Ok(all.into_iter().flat_map(|call| call.launches).map(shape).collect())
}

/// Runs every operation in each storage type, and as often as it takes to reach every kernel, on
/// a virtual GPU of `threads` threads of the host (0: one per core).
///
/// # Errors
/// The first operation that fails.
pub fn measure(threads: usize) -> Result<Vec<Measured>> {
    call_all(&mut Gpu::virtual_gpu(threads))
}

fn call_all<D: Noting>(gpu: &mut Gpu<D>) -> Result<Vec<Measured>> {
    let mut all = Vec::new();
    for storage in [DType::F32, DType::BF16] {
        let mut bench = Bench::new(gpu, storage, &mut all);
        rows::measure(&mut bench)?;
        linear::measure(&mut bench)?;
        linear_rms_norm::measure(&mut bench)?;
        attention::measure(&mut bench)?;
        latent_block::measure(&mut bench)?;
        small::measure(&mut bench)?;
    }
    Ok(all)
}
