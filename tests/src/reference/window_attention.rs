//! Causal sliding-window attention with rotary positions.

use ltm_engine::ops::WindowAttentionShape;

use super::attention::{Gradients, attend, rotated};
use crate::Rounding;

/// q, k and v of one head of one sequence, one vector per token; q and k rotated.
struct Head {
    q: Vec<Vec<f64>>,
    k: Vec<Vec<f64>>,
    v: Vec<Vec<f64>>,
}

/// Element at which part `part` (0 q, 1 k, 2 v) of a token begins in `[batch, seq, 3, heads, d]`.
fn at(s: &WindowAttentionShape, b: usize, t: usize, part: usize, h: usize) -> usize {
    (((b * s.seq + t) * 3 + part) * s.heads + h) * s.head_dim
}

fn head(qkv: &[f64], s: &WindowAttentionShape, b: usize, h: usize, rounding: Rounding) -> Head {
    let row = |t: usize, part: usize| &qkv[at(s, b, t, part, h)..][..s.head_dim];
    let turn = |t, part| rounding.all(rotated(row(t, part), t as f64, s.theta));
    let turned = |part| (0..s.seq).map(|t| turn(t, part)).collect();
    Head { q: turned(0), k: turned(1), v: (0..s.seq).map(|t| row(t, 2).to_vec()).collect() }
}

/// Keys that token `t` sees.
fn seen(s: &WindowAttentionShape, t: usize) -> std::ops::Range<usize> {
    t.saturating_sub(s.window - 1)..t + 1
}

fn borrowed(rows: &[Vec<f64>]) -> Vec<&[f64]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// The result `[batch, seq, heads, d]` and the log denominators `[batch, heads, seq]`. Rotated
/// queries and keys, and the weights, are rounded.
pub fn forward(qkv: &[f64], s: &WindowAttentionShape, rounding: Rounding) -> (Vec<f64>, Vec<f64>) {
    let mut out = vec![0.0; s.rows() * s.width()];
    let mut logsumexp = Vec::new();
    for b in 0..s.batch {
        for h in 0..s.heads {
            let Head { q, k, v } = head(qkv, s, b, h, rounding);
            for (t, q) in q.iter().enumerate() {
                let (keys, values) = (borrowed(&k[seen(s, t)]), borrowed(&v[seen(s, t)]));
                let (row, lse) = attend(q, &keys, &values, rounding);
                let to = ((b * s.seq + t) * s.heads + h) * s.head_dim;
                out[to..to + s.head_dim].copy_from_slice(&row);
                logsumexp.push(lse);
            }
        }
    }
    (out, logsumexp)
}

/// Gradient of `d_out . out` with respect to the unrotated `qkv`.
pub fn backward(
    qkv: &[f64],
    d_out: &[f64],
    s: &WindowAttentionShape,
    rounding: Rounding,
) -> Vec<f64> {
    let mut d_qkv = vec![0.0; qkv.len()];
    for b in 0..s.batch {
        for h in 0..s.heads {
            let Head { q, k, v } = head(qkv, s, b, h, rounding);
            let mut d_q = Vec::new();
            let mut d_k = vec![vec![0.0; s.head_dim]; s.seq];
            let mut d_v = d_k.clone();
            for (t, q) in q.iter().enumerate() {
                let (keys, values) = (borrowed(&k[seen(s, t)]), borrowed(&v[seen(s, t)]));
                let from = ((b * s.seq + t) * s.heads + h) * s.head_dim;
                let d_out = &d_out[from..from + s.head_dim];
                let (d_keys, d_values) = (&mut d_k[seen(s, t)], &mut d_v[seen(s, t)]);
                let mut sums = Gradients { keys: &keys, values: &values, d_keys, d_values };
                d_q.push(sums.add(q, d_out, rounding));
            }
            for t in 0..s.seq {
                // The transpose of a rotation is the rotation by the opposite angle.
                let back = |x: &[f64]| {
                    let x: Vec<f64> = x.iter().map(|x| rounding.of(*x)).collect();
                    rotated(&x, -(t as f64), s.theta)
                };
                let parts = [back(&d_q[t]), back(&d_k[t]), d_v[t].clone()];
                for (part, gradient) in parts.iter().enumerate() {
                    d_qkv[at(s, b, t, part, h)..][..s.head_dim].copy_from_slice(gradient);
                }
            }
        }
    }
    d_qkv
}

/// Rotates the heads of a token, as the ring cache of the decoder holds its keys.
pub fn rotated_heads(x: &[f64], position: usize, s: &WindowAttentionShape) -> Vec<f64> {
    x.chunks_exact(s.head_dim).flat_map(|x| rotated(x, position as f64, s.theta)).collect()
}

/// The result of one token of one sequence, `[heads, d]`, for its rotated query and the `tokens`
/// first slots of the ring cache of its sequence, `[window, heads, d]`.
pub fn decode(
    query: &[f64],
    keys: &[f64],
    values: &[f64],
    tokens: usize,
    s: &WindowAttentionShape,
    rounding: Rounding,
) -> Vec<f64> {
    let slots = |cache: &'_ [f64], h: usize| -> Vec<Vec<f64>> {
        let rows = cache.chunks_exact(s.width()).take(tokens);
        rows.map(|row| row[h * s.head_dim..][..s.head_dim].to_vec()).collect()
    };
    let heads = query.chunks_exact(s.head_dim).enumerate();
    heads
        .flat_map(|(h, query)| {
            let (keys, values) = (slots(keys, h), slots(values, h));
            attend(query, &borrowed(&keys), &borrowed(&values), rounding).0
        })
        .collect()
}
