//! One query over a list of keys, and rotary positions.

use super::{axpy, dot};
use crate::Rounding;

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

/// `softmax(q k^T / sqrt(d)) v` and the log of the softmax denominator. The weights are rounded.
pub fn attend(
    query: &[f64],
    keys: &[&[f64]],
    values: &[&[f64]],
    rounding: Rounding,
) -> (Vec<f64>, f64) {
    let (weights, logsumexp) = weights(query, keys);
    let mut out = vec![0.0; query.len()];
    weights.iter().zip(values).for_each(|(w, value)| axpy(rounding.of(*w), value, &mut out));
    (out, logsumexp)
}

/// Keys and values of a head with their gradients.
pub struct Gradients<'a> {
    /// Keys that the query sees, rotated.
    pub keys: &'a [&'a [f64]],
    /// Their values.
    pub values: &'a [&'a [f64]],
    /// Added to.
    pub d_keys: &'a mut [Vec<f64>],
    /// Added to.
    pub d_values: &'a mut [Vec<f64>],
}

impl Gradients<'_> {
    /// Adds the gradients of `d_out . attend(query, keys, values)` with respect to keys and
    /// values; returns that of the query. The weights, their gradients and the result that the
    /// forward pass kept are rounded.
    pub fn add(&mut self, query: &[f64], d_out: &[f64], rounding: Rounding) -> Vec<f64> {
        let (keys, values) = (self.keys, self.values);
        let (weights, _) = weights(query, keys);
        let (out, _) = attend(query, keys, values, rounding);
        let mean = dot(d_out, &rounding.all(out));
        let mut d_query = vec![0.0; query.len()];
        for (j, w) in weights.iter().enumerate() {
            let d_score = w * (dot(d_out, values[j]) - mean);
            let d_score = rounding.of(d_score) / (query.len() as f64).sqrt();
            axpy(d_score, keys[j], &mut d_query);
            axpy(d_score, query, &mut self.d_keys[j]);
            axpy(rounding.of(*w), d_out, &mut self.d_values[j]);
        }
        d_query
    }
}
