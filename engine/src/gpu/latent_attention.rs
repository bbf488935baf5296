//! Cross-attention from tokens to the latent thought vectors of their layer.

use ltm_ptx::launch::latent_attention as kernels;

use super::window_attention::{grid, head_width};
use super::{Driver, Gpu, Rope, extent, optional, pointer, storage};
use crate::ops::{
    KvGradient, LatentAttentionBackward, LatentAttentionForward, LatentAttentionReduce,
    LatentAttentionShape,
};
use crate::{Error, Result};

/// The slot of the partial sums.
const PARTIAL: usize = 0;

pub(super) fn shape(
    op: &'static str,
    s: &LatentAttentionShape,
) -> Result<kernels::LatentAttentionShape> {
    let shape = kernels::LatentAttentionShape {
        batch: extent(op, "batch", s.batch)?,
        seq: extent(op, "seq", s.seq)?,
        heads: extent(op, "heads", s.heads)?,
        head_dim: head_width(op, s.head_dim)?,
        latents: extent(op, "latents", s.latents)?,
    };
    extent(op, "position", s.first_position.saturating_add(s.seq))?;
    grid(op, shape.blocks())?;
    Ok(shape)
}

/// Angles of the tokens, and of the latents (0 where those are not rotated).
pub(super) fn ropes<D: Driver>(gpu: &mut Gpu<D>, s: &LatentAttentionShape) -> Result<(Rope, Rope)> {
    let latents = match s.latent_stride {
        Some(stride) => Some(gpu.rope(0, stride.into(), s.latents, s.head_dim, s.theta)?),
        None => None,
    };
    let tokens = gpu.rope(s.first_position as i64, 1, s.seq, s.head_dim, s.theta)?;
    let Some(latents) = latents else { return Ok((tokens, Rope { cos: 0, sin: 0 })) };
    // Where the latents stand as close as the tokens, both use one table, and the second request
    // may have replaced the one that the first was answered from.
    let latents = match s.latent_stride {
        Some(1) => gpu.rope(0, 1, s.latents, s.head_dim, s.theta)?,
        _ => latents,
    };
    Ok((tokens, latents))
}

/// Scratch of `bytes`, which a shape beyond the address space cannot have.
fn bytes(op: &'static str, bytes: u64) -> Result<usize> {
    usize::try_from(bytes)
        .map_err(|_| Error::Value { op, detail: format!("{bytes} bytes of scratch memory") })
}

pub fn forward<D: Driver>(gpu: &mut Gpu<D>, args: &LatentAttentionForward<'_>) -> Result<()> {
    const OP: &str = "latent_attention_forward";
    let shape = shape(OP, &args.shape)?;
    let storage = storage(OP, "q", args.q)?;
    if shape.batch == 0 || shape.seq == 0 {
        return Ok(());
    }
    let (tokens, latents) = ropes(gpu, &args.shape)?;
    let kernel = kernels::LatentAttentionForward {
        q: pointer(gpu.id, OP, args.q)?,
        kv: pointer(gpu.id, OP, args.kv)?,
        out: pointer(gpu.id, OP, args.out)?,
        cos: tokens.cos,
        sin: tokens.sin,
        latent_cos: latents.cos,
        latent_sin: latents.sin,
        shape,
    };
    gpu.launch(&kernel.launch(storage))
}

/// Where kernels put the gradient of keys and values, 0 where that is left to the reduction, and the
/// sums of chunks.
pub(super) fn gradient<D: Driver>(
    gpu: &mut Gpu<D>,
    op: &'static str,
    d_kv: &KvGradient<'_>,
    shape: &kernels::LatentAttentionShape,
) -> Result<[u64; 2]> {
    Ok(match d_kv {
        KvGradient::Sums(sums) => [0, pointer(gpu.id, op, sums)?],
        KvGradient::Complete(d_kv) => {
            let partial = bytes(op, kernels::LatentAttentionBackward::scratch_bytes(shape))?;
            [pointer(gpu.id, op, d_kv)?, gpu.scratch(PARTIAL, partial)?]
        }
    })
}

pub fn reduce<D: Driver>(gpu: &mut Gpu<D>, args: &LatentAttentionReduce<'_>) -> Result<()> {
    const OP: &str = "latent_attention_reduce";
    let batch = args.groups.saturating_mul(args.shape.batch);
    let all = LatentAttentionShape { batch, ..args.shape };
    let shape = shape(OP, &all)?;
    if shape.batch == 0 {
        return Ok(());
    }
    let (_, latents) = ropes(gpu, &all)?;
    let kernel = kernels::LatentAttentionReduce {
        partial: pointer(gpu.id, OP, args.sums)?,
        d_kv: pointer(gpu.id, OP, args.d_kv)?,
        latent_cos: latents.cos,
        latent_sin: latents.sin,
        shape,
    };
    gpu.launch(&kernel.launch(storage(OP, "d_kv", args.d_kv)?))
}

pub fn backward<D: Driver>(gpu: &mut Gpu<D>, args: &LatentAttentionBackward<'_>) -> Result<()> {
    const OP: &str = "latent_attention_backward";
    let shape = shape(OP, &args.shape)?;
    let storage = storage(OP, "q", args.q)?;
    if shape.batch == 0 {
        return Ok(());
    }
    let (tokens, latents) = ropes(gpu, &args.shape)?;
    let [d_kv, partial] = gradient(gpu, OP, &args.d_kv, &shape)?;
    let kernel = kernels::LatentAttentionBackward {
        q: pointer(gpu.id, OP, args.q)?,
        kv: pointer(gpu.id, OP, args.kv)?,
        d_out: pointer(gpu.id, OP, args.d_out)?,
        d_q: optional(gpu.id, OP, args.d_q)?,
        accumulate_q: args.accumulate_q,
        d_kv,
        partial,
        cos: tokens.cos,
        sin: tokens.sin,
        latent_cos: latents.cos,
        latent_sin: latents.sin,
        shape,
    };
    for launch in kernel.launch(storage) {
        gpu.launch(&launch)?;
    }
    Ok(())
}
