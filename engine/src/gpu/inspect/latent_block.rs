//! Latent attention with the products around it and the norm after it.

use super::bench::Bench;
use super::noting::Noting;
use crate::ops::*;
use crate::{DType, Result};

/// At every width that has kernels of its own. In f32 there are none.
pub fn measure<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    if b.storage() == DType::F32 {
        return Ok(());
    }
    for heads in [2, 4, 8] {
        block(b, heads)?;
    }
    Ok(())
}

fn block<D: Noting>(b: &mut Bench<'_, D>, heads: usize) -> Result<()> {
    let s = b.shape();
    let shape = LatentAttentionShape {
        batch: s.batch,
        seq: s.seq,
        heads,
        head_dim: s.head_dim,
        latents: s.latents,
        latent_stride: Some((s.seq / (s.layers * s.latents)) as u32),
        first_position: 0,
        theta: 10_000.0,
    };
    let (rows, width) = (shape.rows(), shape.width());
    let (n, square, latents) = (rows * width, width * width, 2 * s.batch * s.latents * width);
    let (x, weight, q, kv) = (b.input(n)?, b.input(square)?, b.output(n)?, b.input(latents)?);
    let (out_weight, residual, gain) = (b.input(square)?, b.input(n)?, b.input(width)?);
    let (out, normed, inv_rms) = (b.output(n)?, b.output(n)?, b.result(DType::F32, rows)?);
    b.run(&format!("latent_block_forward (width {width})"), |gpu| {
        gpu.latent_block_forward(&LatentBlockForward {
            query: Some(QueryProduct { x: &x, weight: &weight }),
            q: &q,
            kv: &kv,
            out_weight: &out_weight,
            residual: &residual,
            gain: &gain,
            out: &out,
            normed: &normed,
            inv_rms: &inv_rms,
            eps: 1e-5,
            shape,
        })
    })?;
    // The gradient is read and written.
    let (d_out, q, kv) = (b.touched(n, 2 * n)?, b.input(n)?, b.input(latents)?);
    let (out_weight, weight, residual) = (b.input(square)?, b.input(square)?, b.input(n)?);
    let (gain, inv_rms, d_kv) = (b.input(width)?, b.floats(rows)?, b.output(latents)?);
    let room = b.touched(LatentBlockBackward::room(&shape, true), 0)?;
    b.run(&format!("latent_block_backward (width {width})"), |gpu| {
        gpu.latent_block_backward(&LatentBlockBackward {
            d_out: &d_out,
            q: &q,
            kv: &kv,
            out_weight: &out_weight,
            source: Some(QuerySource {
                weight: &weight,
                residual: &residual,
                gain: &gain,
                inv_rms: &inv_rms,
            }),
            d_kv: KvGradient::Complete(&d_kv),
            room: &room,
            shape,
        })
    })
}
