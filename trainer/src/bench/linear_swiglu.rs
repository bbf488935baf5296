//! The products of the gated feed-forward block with the activation in them.

use ltm_engine::ops::{LinearSwigluBackward, LinearSwigluForward};

use super::Setting;
use super::arguments::Cases;
use crate::Result;

pub(super) fn measure(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let (rows, inner) = (setting.shape.rows(), setting.model.dim);
    let width = setting.model.ffn_dim();
    let product = 2.0 * rows as f64 * inner as f64 * width as f64;
    cases.measure("linear_swiglu_forward", "gate and up", 2.0 * product, |b| {
        let (x, weight) = (b.stored(rows * inner)?, b.stored(2 * width * inner)?);
        let (gate_up, out) = (b.stored(2 * rows * width)?, b.stored(rows * width)?);
        Ok(Box::new(move |device| {
            device.linear_swiglu_forward(&LinearSwigluForward {
                x: &x,
                weight: &weight,
                gate_up: &gate_up,
                out: &out,
                rows,
                inner,
                width,
            })
        }))
    })?;
    cases.measure("linear_swiglu_backward", "down", product, |b| {
        let (d_out, weight) = (b.stored(rows * inner)?, b.stored(inner * width)?);
        let (gate_up, d_gate_up) = (b.stored(2 * rows * width)?, b.stored(2 * rows * width)?);
        Ok(Box::new(move |device| {
            device.linear_swiglu_backward(&LinearSwigluBackward {
                d_out: &d_out,
                weight: &weight,
                gate_up: &gate_up,
                d_gate_up: &d_gate_up,
                rows,
                width,
                outer: inner,
            })
        }))
    })
}
