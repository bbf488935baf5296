//! The gated activation over rows `[2, width]`: gate, then up. `silu(gate)` and its gradient are
//! rounded.

use crate::Rounding;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `silu(gate) * up`.
pub fn forward(gate_up: &[f64], width: usize, rounding: Rounding) -> Vec<f64> {
    let row = |row: &[f64]| -> Vec<f64> {
        let silu = |i: usize| rounding.of(row[i] * sigmoid(row[i]));
        (0..width).map(|i| silu(i) * row[width + i]).collect()
    };
    gate_up.chunks_exact(2 * width).flat_map(row).collect()
}

/// Gradient of `d_out . out`.
pub fn backward(gate_up: &[f64], d_out: &[f64], width: usize, rounding: Rounding) -> Vec<f64> {
    let mut gradient = vec![0.0; gate_up.len()];
    let rows = gate_up.chunks_exact(2 * width).zip(d_out.chunks_exact(width));
    for ((row, d), to) in rows.zip(gradient.chunks_exact_mut(2 * width)) {
        for i in 0..width {
            let (g, u, s) = (row[i], row[width + i], sigmoid(row[i]));
            to[i] = rounding.of(d[i] * u) * (s + g * s * (1.0 - s));
            to[width + i] = d[i] * rounding.of(g * s);
        }
    }
    gradient
}
