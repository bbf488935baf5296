//! One query over a list of keys, and rotary positions.

use super::{axpy, dot};

/// `x` with the pair `(2j, 2j + 1)` turned by `position * theta^(-2j / d)`.
pub fn rotated(x: &[f64], position: f64, theta: f64) -> Vec<f64> {
    let turn = |(j, pair): (usize, &[f64])| {
        let angle = position / theta.powf(2.0 * j as f64 / x.len() as f64);
        let (sin, cos) = angle.sin_cos();
        [pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos]
    };
    x.chunks_exact(2).enumerate().flat_map(turn).collect()
}

fn weights(query: &[f64], keys: &[&[f64]]) -> (Vec<f64>, f64) {
    let scale = 1.0 / (query.len() as f64).sqrt();
    let scores: Vec<f64> = keys.iter().map(|key| dot(query, key) * scale).collect();
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
    let logsumexp = top + sum.ln();
    (scores.iter().map(|s| (s - logsumexp).exp()).collect(), logsumexp)
}

/// `softmax(q k^T / sqrt(d)) v` and the log of the softmax denominator.
pub fn attend(query: &[f64], keys: &[&[f64]], values: &[&[f64]]) -> (Vec<f64>, f64) {
    let (weights, logsumexp) = weights(query, keys);
    let mut out = vec![0.0; query.len()];
    weights.iter().zip(values).for_each(|(w, value)| axpy(*w, value, &mut out));
    (out, logsumexp)
}

/// Gradients of `d_out . attend(query, keys, values)`; those of keys and values are added.
pub fn attend_gradient(
    query: &[f64],
    keys: &[&[f64]],
    values: &[&[f64]],
    d_out: &[f64],
    d_keys: &mut [Vec<f64>],
    d_values: &mut [Vec<f64>],
) -> Vec<f64> {
    let (weights, _) = weights(query, keys);
    let d_weights: Vec<f64> = values.iter().map(|value| dot(d_out, value)).collect();
    let mean = dot(&weights, &d_weights);
    let mut d_query = vec![0.0; query.len()];
    for (j, w) in weights.iter().enumerate() {
        let d_score = w * (d_weights[j] - mean) / (query.len() as f64).sqrt();
        axpy(d_score, keys[j], &mut d_query);
        axpy(d_score, query, &mut d_keys[j]);
        axpy(*w, d_out, &mut d_values[j]);
    }
    d_query
}
