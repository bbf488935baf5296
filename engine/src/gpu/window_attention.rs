//! Causal sliding-window attention.

use ltm_ptx::launch::HeadWidth;
use ltm_ptx::launch::window_attention as kernels;

use super::{Driver, Gpu, extent, pointer, storage};
use crate::ops::{
    WindowAttentionBackward, WindowAttentionDecode, WindowAttentionForward, WindowAttentionShape,
};
use crate::{Error, Result};

/// The head size as the attention kernels take it.
pub(super) fn head_width(op: &'static str, head_dim: usize) -> Result<HeadWidth> {
    HeadWidth::new(head_dim).ok_or_else(|| Error::Value {
        op,
        detail: format!(
            "head_dim is {head_dim}; the kernels take even ones up to {}",
            HeadWidth::MAX
        ),
    })
}

/// Refuses a grid of 2^31 blocks and more.
pub(super) fn grid(op: &'static str, blocks: u64) -> Result<()> {
    if blocks <= i32::MAX as u64 {
        return Ok(());
    }
    let detail = format!("{blocks} blocks of work; a launch takes fewer than 2^31");
    Err(Error::Value { op, detail })
}

fn shape(op: &'static str, s: &WindowAttentionShape) -> Result<kernels::WindowAttentionShape> {
    Ok(kernels::WindowAttentionShape {
        batch: extent(op, "batch", s.batch)?,
        seq: extent(op, "seq", s.seq)?,
        heads: extent(op, "heads", s.heads)?,
        head_dim: head_width(op, s.head_dim)?,
        window: extent(op, "window", s.window.min(i32::MAX as usize))?,
    })
}

pub fn forward<D: Driver>(gpu: &mut Gpu<D>, args: &WindowAttentionForward<'_>) -> Result<()> {
    const OP: &str = "window_attention_forward";
    let shape = shape(OP, &args.shape)?;
    let storage = storage(OP, "qkv", args.qkv)?;
    grid(OP, shape.forward_blocks(storage))?;
    if shape.batch == 0 || shape.seq == 0 {
        return Ok(());
    }
    let rope = gpu.rope(0, 1, args.shape.seq, args.shape.head_dim, args.shape.theta)?;
    let kernel = kernels::WindowAttentionForward {
        qkv: pointer(gpu.id, OP, args.qkv)?,
        out: pointer(gpu.id, OP, args.out)?,
        logsumexp: pointer(gpu.id, OP, args.logsumexp)?,
        cos: rope.cos,
        sin: rope.sin,
        shape,
    };
    gpu.launch(&kernel.launch(storage))
}

pub fn backward<D: Driver>(gpu: &mut Gpu<D>, args: &WindowAttentionBackward<'_>) -> Result<()> {
    const OP: &str = "window_attention_backward";
    let shape = shape(OP, &args.shape)?;
    let storage = storage(OP, "qkv", args.qkv)?;
    grid(OP, shape.backward_blocks(storage))?;
    if shape.batch == 0 || shape.seq == 0 {
        return Ok(());
    }
    let rope = gpu.rope(0, 1, args.shape.seq, args.shape.head_dim, args.shape.theta)?;
    let kernel = kernels::WindowAttentionBackward {
        qkv: pointer(gpu.id, OP, args.qkv)?,
        out: pointer(gpu.id, OP, args.out)?,
        logsumexp: pointer(gpu.id, OP, args.logsumexp)?,
        d_out: pointer(gpu.id, OP, args.d_out)?,
        d_qkv: pointer(gpu.id, OP, args.d_qkv)?,
        cos: rope.cos,
        sin: rope.sin,
        shape,
    };
    gpu.launch(&kernel.launch(storage))
}

pub fn decode<D: Driver>(gpu: &mut Gpu<D>, args: &WindowAttentionDecode<'_>) -> Result<()> {
    const OP: &str = "window_attention_decode";
    let shape = shape(OP, &args.shape)?;
    // Here the window is an extent of the caches.
    extent(OP, "window", args.shape.window)?;
    let storage = storage(OP, "qkv", args.qkv)?;
    grid(OP, args.shape.batch as u64 * args.shape.heads as u64)?;
    if shape.batch == 0 {
        return Ok(());
    }
    let position = extent(OP, "position", args.position)?;
    let rope = gpu.rope(position.into(), 1, 1, args.shape.head_dim, args.shape.theta)?;
    let kernel = kernels::WindowAttentionDecode {
        qkv: pointer(gpu.id, OP, args.qkv)?,
        keys: pointer(gpu.id, OP, args.keys)?,
        values: pointer(gpu.id, OP, args.values)?,
        out: pointer(gpu.id, OP, args.out)?,
        cos: rope.cos,
        sin: rope.sin,
        position: args.position,
        shape,
    };
    gpu.launch(&kernel.launch(storage))
}
