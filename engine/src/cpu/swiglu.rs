//! The gated activation.

use super::math::sigmoid;
use super::memory::{read, write};
use super::pool::for_each;
use crate::ops::{SwigluBackward, SwigluForward};
use crate::{DeviceId, Result};

/// Rows per task.
const BLOCK: usize = 32;

pub fn forward(device: DeviceId, args: &SwigluForward<'_>) -> Result<()> {
    const OP: &str = "swiglu_forward";
    let gate_up = read::<f32>(device, OP, args.gate_up)?;
    let out = write::<f32>(device, OP, args.out)?;
    let width = args.width;
    let blocks = out.chunks_mut(BLOCK * width).zip(gate_up.chunks(2 * BLOCK * width));
    for_each(blocks, |(out, gate_up)| gated(gate_up, out, width));
    Ok(())
}

vectorized! {
    fn gated(gate_up: &[f32], out: &mut [f32], width: usize) {
        for (row, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = row.split_at(width);
            for ((out, &g), &u) in out.iter_mut().zip(gate).zip(up) {
                *out = g * sigmoid(g) * u;
            }
        }
    }
}

/// The gradient of `gate_up` for the one of the result that stands in the second half of each row of
/// `d_gate_up`.
pub fn backward_in_place(gate_up: &[f32], d_gate_up: &mut [f32], width: usize) {
    let both = 2 * BLOCK * width;
    for_each(d_gate_up.chunks_mut(both).zip(gate_up.chunks(both)), |(d_gate_up, gate_up)| {
        gated_gradient_in_place(gate_up, d_gate_up, width);
    });
}

pub fn backward(device: DeviceId, args: &SwigluBackward<'_>) -> Result<()> {
    const OP: &str = "swiglu_backward";
    let gate_up = read::<f32>(device, OP, args.gate_up)?;
    let d_out = read::<f32>(device, OP, args.d_out)?;
    let d_gate_up = write::<f32>(device, OP, args.d_gate_up)?;
    let width = args.width;
    let both = 2 * BLOCK * width;
    let blocks = d_gate_up.chunks_mut(both).zip(gate_up.chunks(both));
    for_each(blocks.zip(d_out.chunks(BLOCK * width)), |((d_gate_up, gate_up), d_out)| {
        gated_gradient(gate_up, d_out, d_gate_up, width);
    });
    Ok(())
}

vectorized! {
    fn gated_gradient(gate_up: &[f32], d_out: &[f32], d_gate_up: &mut [f32], width: usize) {
        let rows = gate_up.chunks_exact(2 * width).zip(d_gate_up.chunks_exact_mut(2 * width));
        for ((row, d_row), d_out) in rows.zip(d_out.chunks_exact(width)) {
            let (gate, up) = row.split_at(width);
            let (d_gate, d_up) = d_row.split_at_mut(width);
            let inputs = gate.iter().zip(up).zip(d_out);
            for (((&g, &u), &d), (d_g, d_u)) in inputs.zip(d_gate.iter_mut().zip(d_up)) {
                let s = sigmoid(g);
                *d_g = d * u * (s * (1.0 + g * (1.0 - s)));
                *d_u = d * (g * s);
            }
        }
    }
}

vectorized! {
    fn gated_gradient_in_place(gate_up: &[f32], d_gate_up: &mut [f32], width: usize) {
        // A piece of what is overwritten is copied first: where a loop writes what it has just
        // read, and its neighbour in the same row, no compiler makes vector code of it.
        let mut copy = [0.0f32; 256];
        let rows = gate_up.chunks_exact(2 * width).zip(d_gate_up.chunks_exact_mut(2 * width));
        for (row, d_row) in rows {
            let (gate, up) = row.split_at(width);
            let (d_gate, d_up) = d_row.split_at_mut(width);
            let pieces = gate.chunks(copy.len()).zip(up.chunks(copy.len()));
            let d_pieces = d_gate.chunks_mut(copy.len()).zip(d_up.chunks_mut(copy.len()));
            for ((gate, up), (d_gate, d_up)) in pieces.zip(d_pieces) {
                let d_out = &mut copy[..d_up.len()];
                d_out.copy_from_slice(d_up);
                let inputs = gate.iter().zip(up).zip(&*d_out);
                for (((&g, &u), &d), (d_g, d_u)) in inputs.zip(d_gate.iter_mut().zip(d_up)) {
                    let s = sigmoid(g);
                    *d_g = d * u * (s * (1.0 + g * (1.0 - s)));
                    *d_u = d * (g * s);
                }
            }
        }
    }
}
