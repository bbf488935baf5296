//! Attention of every token to every latent of its layer.

use ltm_engine::ops::LatentAttentionShape;

use super::attention::{Gradients, attend, rotated};
use crate::Rounding;

/// Element at which part `part` (0 k, 1 v) of a latent begins in `[batch, latents, 2, heads, d]`.
fn at(s: &LatentAttentionShape, b: usize, m: usize, part: usize, h: usize) -> usize {
    (((b * s.latents + m) * 2 + part) * s.heads + h) * s.head_dim
}

/// Keys and values of one head of one sequence; keys rotated.
fn latents(
    kv: &[f64],
    s: &LatentAttentionShape,
    b: usize,
    h: usize,
    rounding: Rounding,
) -> [Vec<Vec<f64>>; 2] {
    let row = |m: usize, part: usize| &kv[at(s, b, m, part, h)..][..s.head_dim];
    let turned = |m| rounding.all(rotated(row(m, 0), position(s, m), s.theta));
    [(0..s.latents).map(turned).collect(), (0..s.latents).map(|m| row(m, 1).to_vec()).collect()]
}

fn position(s: &LatentAttentionShape, latent: usize) -> f64 {
    latent as f64 * s.latent_stride.unwrap_or(0) as f64
}

/// Every head of every token: sequence, head, position, and where its numbers begin.
fn queries(
    s: &LatentAttentionShape,
    b: usize,
    h: usize,
) -> impl Iterator<Item = (f64, usize)> + '_ {
    (0..s.seq)
        .map(move |t| ((s.first_position + t) as f64, ((b * s.seq + t) * s.heads + h) * s.head_dim))
}

fn borrowed(rows: &[Vec<f64>]) -> Vec<&[f64]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// The result `[batch, seq, heads, d]`. Rounds as window attention does.
pub fn forward(q: &[f64], kv: &[f64], s: &LatentAttentionShape, rounding: Rounding) -> Vec<f64> {
    let mut out = vec![0.0; q.len()];
    for b in 0..s.batch {
        for h in 0..s.heads {
            let [keys, values] = latents(kv, s, b, h, rounding);
            let (keys, values) = (borrowed(&keys), borrowed(&values));
            for (position, at) in queries(s, b, h) {
                let query = rounding.all(rotated(&q[at..at + s.head_dim], position, s.theta));
                let (row, _) = attend(&query, &keys, &values, rounding);
                out[at..at + s.head_dim].copy_from_slice(&row);
            }
        }
    }
    out
}

/// Gradients of `d_out . out` with respect to the unrotated `q` and `kv`.
pub fn backward(
    q: &[f64],
    kv: &[f64],
    d_out: &[f64],
    s: &LatentAttentionShape,
    rounding: Rounding,
) -> (Vec<f64>, Vec<f64>) {
    let (mut d_q, mut d_kv) = (vec![0.0; q.len()], vec![0.0; kv.len()]);
    for b in 0..s.batch {
        for h in 0..s.heads {
            let [keys, values] = latents(kv, s, b, h, rounding);
            let (keys, values) = (borrowed(&keys), borrowed(&values));
            let mut d_keys = vec![vec![0.0; s.head_dim]; s.latents];
            let mut d_values = d_keys.clone();
            for (position, from) in queries(s, b, h) {
                let part = from..from + s.head_dim;
                let query = rounding.all(rotated(&q[part.clone()], position, s.theta));
                let (d_keys, d_values) = (&mut d_keys[..], &mut d_values[..]);
                let mut sums = Gradients { keys: &keys, values: &values, d_keys, d_values };
                let gradient = rounding.all(sums.add(&query, &d_out[part.clone()], rounding));
                d_q[part].copy_from_slice(&rotated(&gradient, -position, s.theta));
            }
            for m in 0..s.latents {
                let d_key = rounding.all(d_keys[m].clone());
                let d_key = rotated(&d_key, -position(s, m), s.theta);
                d_kv[at(s, b, m, 0, h)..][..s.head_dim].copy_from_slice(&d_key);
                d_kv[at(s, b, m, 1, h)..][..s.head_dim].copy_from_slice(&d_values[m]);
            }
        }
    }
    (d_q, d_kv)
}
