//! Linear maps with the normalisation beside them.

use ltm_engine::ops::{LinearRmsNormBackward, LinearRmsNormForward};

use super::Setting;
use super::arguments::Cases;
use crate::Result;

pub(super) fn measure(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let (d, f) = (setting.model.dim, setting.model.ffn_dim());
    forward(cases, setting, ("attention out", d))?;
    forward(cases, setting, ("down", f))?;
    backward(cases, setting, ("qkv", 3 * d))?;
    backward(cases, setting, ("gate and up", 2 * f))
}

/// What is added to the residual stream, and the norm of that.
fn forward(
    cases: &mut Cases<'_>,
    setting: &Setting<'_>,
    (of, inner): (&'static str, usize),
) -> Result<()> {
    let (rows, outer) = (setting.shape.rows(), setting.model.dim);
    let (n, eps) = (rows * outer, setting.model.norm_eps as f32);
    let flops = 2.0 * n as f64 * inner as f64;
    cases.measure("linear_rms_norm_forward", of, flops, |b| {
        let (x, weight) = (b.stored(rows * inner)?, b.stored(outer * inner)?);
        let (residual, gain) = (b.stored(n)?, b.stored(outer)?);
        let (out, normed, inv_rms) = (b.stored(n)?, b.stored(n)?, b.floats(rows)?);
        Ok(Box::new(move |device| {
            device.linear_rms_norm_forward(&LinearRmsNormForward {
                x: &x,
                weight: &weight,
                residual: Some(&residual),
                gain: &gain,
                out: &out,
                normed: &normed,
                inv_rms: &inv_rms,
                rows,
                inner,
                outer,
                eps,
            })
        }))
    })
}

/// The gradient of a map of normalised rows, added to that of the residual stream.
fn backward(
    cases: &mut Cases<'_>,
    setting: &Setting<'_>,
    (of, outer): (&'static str, usize),
) -> Result<()> {
    let (rows, width) = (setting.shape.rows(), setting.model.dim);
    let n = rows * width;
    let flops = 2.0 * n as f64 * outer as f64;
    cases.measure("linear_rms_norm_backward", of, flops, |b| {
        let (d_out, weight) = (b.stored(rows * outer)?, b.stored(outer * width)?);
        let (x, gain, inv_rms) = (b.stored(n)?, b.stored(width)?, b.floats(rows)?);
        // The gradient is read and written.
        let d_x = b.stored_in_part(n, 2 * n)?;
        Ok(Box::new(move |device| {
            device.linear_rms_norm_backward(&LinearRmsNormBackward {
                d_out: &d_out,
                weight: &weight,
                x: &x,
                gain: &gain,
                inv_rms: &inv_rms,
                d_x: &d_x,
                accumulate: true,
                rows,
                width,
                outer,
            })
        }))
    })
}
