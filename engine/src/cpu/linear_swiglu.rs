//! The products of a gated feed-forward block with the activation between them.

use super::matmul::{Mat, Out, Store, par_matmul};
use super::memory::{read, write};
use super::{linear, swiglu};
use crate::ops::{LinearForward, LinearSwigluBackward, LinearSwigluForward, SwigluForward};
use crate::{DeviceId, Result};

pub fn forward(device: DeviceId, args: &LinearSwigluForward<'_>) -> Result<()> {
    let LinearSwigluForward { x, weight, gate_up, out, rows, inner, width } = *args;
    let outer = 2 * width;
    let product = LinearForward { x, weight, residual: None, out: gate_up, rows, inner, outer };
    linear::forward(device, &product)?;
    swiglu::forward(device, &SwigluForward { gate_up, out, rows, width })
}

pub fn backward(device: DeviceId, args: &LinearSwigluBackward<'_>) -> Result<()> {
    const OP: &str = "linear_swiglu_backward";
    let (rows, width, outer) = (args.rows, args.width, args.outer);
    let d_out = Mat::new(read(device, OP, args.d_out)?, rows, outer);
    let weight = Mat::new(read(device, OP, args.weight)?, outer, width);
    let gate_up = read::<f32>(device, OP, args.gate_up)?;
    let d_gate_up = write::<f32>(device, OP, args.d_gate_up)?;
    if rows == 0 {
        return Ok(());
    }
    // The gradient of the product goes where that of up will stand.
    let d = Out::strided(&mut d_gate_up[width..], rows, width, 2 * width);
    par_matmul(&d, d_out, weight, Store::Overwrite, None);
    swiglu::backward_in_place(gate_up, d_gate_up, width);
    Ok(())
}
