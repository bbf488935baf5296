//! Both attentions.

use super::bench::Bench;
use super::noting::Noting;
use crate::ops::*;
use crate::{DType, Result};

pub fn measure<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    for head_dim in HEAD_DIMS {
        window(b, head_dim)?;
    }
    for head_dim in HEAD_DIMS {
        decode(b, head_dim)?;
    }
    for head_dim in HEAD_DIMS {
        latent(b, head_dim)?;
    }
    Ok(())
}

/// Every head size that has kernels of its own; as many heads as fill the width.
const HEAD_DIMS: [usize; 4] = [16, 32, 64, 128];

fn window_shape<D: Noting>(b: &Bench<'_, D>, head_dim: usize) -> WindowAttentionShape {
    let s = b.shape();
    WindowAttentionShape {
        batch: s.batch,
        seq: s.seq,
        heads: s.dim() / head_dim,
        head_dim,
        window: s.window,
        theta: 10_000.0,
    }
}

fn window<D: Noting>(b: &mut Bench<'_, D>, head_dim: usize) -> Result<()> {
    let shape = window_shape(b, head_dim);
    let (n, statistics) = (shape.rows() * shape.width(), shape.rows() * shape.heads);
    let (qkv, out) = (b.input(3 * n)?, b.output(n)?);
    let logsumexp = b.result(DType::F32, statistics)?;
    b.run(&format!("window_attention_forward (d {head_dim})"), |gpu| {
        let (qkv, out, logsumexp) = (&qkv, &out, &logsumexp);
        gpu.window_attention_forward(&WindowAttentionForward { qkv, out, logsumexp, shape })
    })?;
    let (qkv, out, d_out) = (b.input(3 * n)?, b.input(n)?, b.input(n)?);
    let logsumexp = b.floats(statistics)?;
    let d_qkv = b.output(3 * n)?;
    b.run(&format!("window_attention_backward (d {head_dim})"), |gpu| {
        gpu.window_attention_backward(&WindowAttentionBackward {
            qkv: &qkv,
            out: &out,
            logsumexp: &logsumexp,
            d_out: &d_out,
            d_qkv: &d_qkv,
            shape,
        })
    })
}

/// One token at the end of a window that is full.
fn decode<D: Noting>(b: &mut Bench<'_, D>, head_dim: usize) -> Result<()> {
    let shape = WindowAttentionShape { seq: 1, ..window_shape(b, head_dim) };
    let n = shape.batch * shape.width();
    let position = shape.window;
    // The slot of the new token is written, the others are read.
    let [keys, values] = [b.input(n * shape.window)?, b.input(n * shape.window)?];
    let (qkv, out) = (b.input(3 * n)?, b.output(n)?);
    b.run(&format!("window_attention_decode (d {head_dim})"), |gpu| {
        gpu.window_attention_decode(&WindowAttentionDecode {
            qkv: &qkv,
            keys: &keys,
            values: &values,
            out: &out,
            position,
            shape,
        })
    })
}

fn latent<D: Noting>(b: &mut Bench<'_, D>, head_dim: usize) -> Result<()> {
    let s = b.shape();
    let shape = LatentAttentionShape {
        batch: s.batch,
        seq: s.seq,
        heads: s.dim() / head_dim,
        head_dim,
        latents: s.latents,
        latent_stride: Some((s.seq / (s.layers * s.latents)) as u32),
        first_position: 0,
        theta: 10_000.0,
    };
    let (n, latents) = (shape.rows() * shape.width(), 2 * s.batch * s.latents * shape.width());
    let (q, kv, out) = (b.input(n)?, b.input(latents)?, b.output(n)?);
    b.run(&format!("latent_attention_forward (d {head_dim})"), |gpu| {
        let (q, kv, out) = (&q, &kv, &out);
        gpu.latent_attention_forward(&LatentAttentionForward { q, kv, out, shape })
    })?;
    let (q, kv, d_out) = (b.input(n)?, b.input(latents)?, b.input(n)?);
    let (d_q, d_kv) = (b.output(n)?, b.output(latents)?);
    b.run(&format!("latent_attention_backward (d {head_dim})"), |gpu| {
        gpu.latent_attention_backward(&LatentAttentionBackward {
            q: &q,
            kv: &kv,
            d_out: &d_out,
            d_q: Some(&d_q),
            accumulate_q: false,
            d_kv: KvGradient::Complete(&d_kv),
            shape,
        })
    })
}
