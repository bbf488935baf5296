//! Matrix products with the normalisation beside them.

use super::bench::Bench;
use super::noting::Noting;
use crate::ops::*;
use crate::{DType, Result};

/// At every width of a tile. In f32 there are two kernels whatever the width.
pub fn measure<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let dim = b.shape().dim();
    match b.storage() {
        DType::F32 => product(b, dim),
        _ => [dim / 2, dim, 2 * dim].into_iter().try_for_each(|width| product(b, width)),
    }
}

fn product<D: Noting>(b: &mut Bench<'_, D>, width: usize) -> Result<()> {
    let (rows, features) = (b.shape().rows(), b.shape().dim());
    let n = rows * width;
    let (x, weight) = (b.input(rows * features)?, b.input(width * features)?);
    let (residual, gain) = (b.input(n)?, b.input(width)?);
    let (out, normed, inv_rms) = (b.output(n)?, b.output(n)?, b.result(DType::F32, rows)?);
    b.run(&format!("linear_rms_norm_forward (width {width})"), |gpu| {
        gpu.linear_rms_norm_forward(&LinearRmsNormForward {
            x: &x,
            weight: &weight,
            residual: Some(&residual),
            gain: &gain,
            out: &out,
            normed: &normed,
            inv_rms: &inv_rms,
            rows,
            inner: features,
            outer: width,
            eps: 1e-5,
        })
    })?;
    let (d_out, weight) = (b.input(rows * features)?, b.input(features * width)?);
    let (x, gain, inv_rms) = (b.input(n)?, b.input(width)?, b.floats(rows)?);
    // The gradient that passes by on the residual is read and written.
    let d_x = b.touched(n, 2 * n)?;
    b.run(&format!("linear_rms_norm_backward (width {width})"), |gpu| {
        gpu.linear_rms_norm_backward(&LinearRmsNormBackward {
            d_out: &d_out,
            weight: &weight,
            x: &x,
            gain: &gain,
            inv_rms: &inv_rms,
            d_x: &d_x,
            accumulate: true,
            rows,
            width,
            outer: features,
        })
    })
}
