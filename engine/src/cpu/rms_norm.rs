//! Root-mean-square normalisation, one row at a time.

use super::math::{dot, sum_pairs};
use super::memory::{read, write};
use super::parallel::Shared;
use super::pool::for_each;
use super::scratch::Partials;
use crate::ops::{RmsNormBackward, RmsNormForward};
use crate::{DeviceId, Result};

/// Rows per task.
const BLOCK: usize = 64;

pub fn forward(device: DeviceId, args: &RmsNormForward<'_>) -> Result<()> {
    const OP: &str = "rms_norm_forward";
    let x = read::<f32>(device, OP, args.x)?;
    let weight = read::<f32>(device, OP, args.weight)?;
    let out = write::<f32>(device, OP, args.out)?;
    let inv_rms = write::<f32>(device, OP, args.inv_rms)?;
    let (width, eps) = (args.width, args.eps);
    if let Some(residual) = &args.residual {
        let delta = read::<f32>(device, OP, residual.delta)?;
        let sum = write::<f32>(device, OP, residual.sum)?;
        let block = BLOCK * width;
        let inputs = x.chunks(block).zip(delta.chunks(block));
        let outputs = sum.chunks_mut(block).zip(out.chunks_mut(block));
        let blocks = inputs.zip(outputs.zip(inv_rms.chunks_mut(BLOCK)));
        for_each(blocks, |((x, delta), ((sum, out), inv_rms))| {
            for ((sum, x), delta) in sum.iter_mut().zip(x).zip(delta) {
                *sum = x + delta;
            }
            normalise(sum, weight, out, inv_rms, eps);
        });
    } else {
        let blocks = out.chunks_mut(BLOCK * width).zip(x.chunks(BLOCK * width));
        for_each(blocks.zip(inv_rms.chunks_mut(BLOCK)), |((out, x), inv_rms)| {
            normalise(x, weight, out, inv_rms, eps);
        });
    }
    Ok(())
}

vectorized! {
    pub fn normalise(x: &[f32], weight: &[f32], out: &mut [f32], inv_rms: &mut [f32], eps: f32) {
        let width = weight.len();
        for ((x, out), inv) in
            x.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(inv_rms)
        {
            *inv = 1.0 / (dot(x, x) / width as f32 + eps).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * *inv * weight;
            }
        }
    }
}

pub fn backward(
    device: DeviceId,
    args: &RmsNormBackward<'_>,
    partials: &mut Partials,
) -> Result<()> {
    const OP: &str = "rms_norm_backward";
    let d_out = read::<f32>(device, OP, args.d_out)?;
    let x = read::<f32>(device, OP, args.x)?;
    let weight = read::<f32>(device, OP, args.weight)?;
    let inv_rms = read::<f32>(device, OP, args.inv_rms)?;
    let width = args.width;
    if let Some(d_x) = args.d_x {
        let d_x = write::<f32>(device, OP, d_x)?;
        let accumulate = args.accumulate;
        let gradients = d_x.chunks_mut(BLOCK * width).zip(d_out.chunks(BLOCK * width));
        let inputs = x.chunks(BLOCK * width).zip(inv_rms.chunks(BLOCK));
        for_each(gradients.zip(inputs), |((d_x, d_out), (x, inv_rms))| {
            input_gradient(d_x, d_out, x, weight, inv_rms, accumulate);
        });
    }
    if let Some(d_weight) = args.d_weight {
        let d_weight = write::<f32>(device, OP, d_weight)?;
        let blocks = args.rows.div_ceil(BLOCK);
        let sums = partials.floats(blocks * width);
        let shared = Shared::new(sums);
        for_each(0..blocks, |block| {
            let first = block * BLOCK;
            let last = (first + BLOCK).min(args.rows);
            // SAFETY: each block has its own row of partial sums.
            let sum = unsafe { shared.part(block * width..(block + 1) * width) };
            let elements = first * width..last * width;
            weight_gradient(sum, &d_out[elements.clone()], &x[elements], &inv_rms[first..last]);
        });
        for sum in sums.chunks_exact(width) {
            d_weight.iter_mut().zip(sum).for_each(|(d, s)| *d += s);
        }
    }
    Ok(())
}

vectorized! {
    pub fn input_gradient(
        d_x: &mut [f32],
        d_out: &[f32],
        x: &[f32],
        weight: &[f32],
        inv_rms: &[f32],
        accumulate: bool,
    ) {
        let width = weight.len();
        let rows = d_out.chunks_exact(width).zip(x.chunks_exact(width)).zip(inv_rms);
        for (((d_out, x), &inv), d_x) in rows.zip(d_x.chunks_exact_mut(width)) {
            // The inner product sum(d_out * weight * x), in lanes over fixed-size pieces.
            let mut projection = 0.0;
            let mut product = [0.0f32; 64];
            for ((d, w), x) in d_out.chunks(64).zip(weight.chunks(64)).zip(x.chunks(64)) {
                let product = &mut product[..d.len()];
                for ((p, d), w) in product.iter_mut().zip(d).zip(w) {
                    *p = d * w;
                }
                projection += sum_pairs(product, x, |p, x| p * x);
            }
            let shrink = projection * inv * inv / width as f32;
            if accumulate {
                for (((d_x, d), w), x) in d_x.iter_mut().zip(d_out).zip(weight).zip(x) {
                    *d_x += inv * (d * w - x * shrink);
                }
            } else {
                for (((d_x, d), w), x) in d_x.iter_mut().zip(d_out).zip(weight).zip(x) {
                    *d_x = inv * (d * w - x * shrink);
                }
            }
        }
    }
}

vectorized! {
    fn weight_gradient(sum: &mut [f32], d_out: &[f32], x: &[f32], inv_rms: &[f32]) {
        let width = sum.len();
        sum.fill(0.0);
        for ((d_out, x), inv) in
            d_out.chunks_exact(width).zip(x.chunks_exact(width)).zip(inv_rms)
        {
            for ((sum, d), x) in sum.iter_mut().zip(d_out).zip(x) {
                *sum += d * (x * inv);
            }
        }
    }
}
