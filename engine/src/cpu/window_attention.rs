//! Sliding-window attention, one head of one sequence per task.
//!
//! A task rotates q and k once, then walks over blocks of queries; for a block it forms the
//! scores against just the keys that the window of one of its queries meets.

use rayon::prelude::*;

use super::math::{axpy, dot, exp, exp_sum, max, sum_pairs};
use super::matmul::{Mat, Out, Store, matmul};
use super::memory::{read, write};
use super::parallel::Shared;
use super::ropes::Ropes;
use super::scratch::with_local;
use crate::ops::{
    WindowAttentionBackward, WindowAttentionDecode, WindowAttentionForward, WindowAttentionShape,
};
use crate::rope::{RopeTable, rotate, rotate_back};
use crate::{DeviceId, Result};

/// Queries per block.
const BLOCK: usize = 64;

/// A block of queries and the keys that it meets.
struct Block {
    first: usize,
    queries: usize,
    first_key: usize,
    keys: usize,
}

fn blocks(shape: WindowAttentionShape) -> impl Iterator<Item = Block> {
    (0..shape.seq).step_by(BLOCK).map(move |first| {
        let queries = BLOCK.min(shape.seq - first);
        let first_key = (first + 1).saturating_sub(shape.window);
        Block { first, queries, first_key, keys: first + queries - first_key }
    })
}

impl Block {
    /// Keys of this block, as columns of its scores, that query `row` sees.
    #[inline(always)]
    fn visible(&self, row: usize, window: usize) -> std::ops::Range<usize> {
        let query = self.first + row;
        let first = (query + 1).saturating_sub(window).max(self.first_key);
        first - self.first_key..query + 1 - self.first_key
    }
}

fn most_keys(shape: &WindowAttentionShape) -> usize {
    shape.window.saturating_add(BLOCK - 1).min(shape.seq)
}

/// Offset of part `part` (0 q, 1 k, 2 v) of a head in token 0 of a sequence, and the distance
/// of neighbouring tokens.
fn packed(shape: &WindowAttentionShape, sequence: usize, head: usize, part: usize) -> usize {
    sequence * shape.seq * 3 * shape.width() + part * shape.width() + head * shape.head_dim
}

vectorized! {
    /// Rotated copies of q (times `scale`) and k of one head.
    fn load(
        qkv: &[f32],
        table: &RopeTable,
        dims: (usize, usize, usize),
        scale: f32,
        q: &mut [f32],
        k: &mut [f32],
    ) {
        let (head_dim, width, start) = dims;
        let rows = q.chunks_exact_mut(head_dim).zip(k.chunks_exact_mut(head_dim));
        for (t, (q, k)) in rows.enumerate() {
            let at = start + t * 3 * width;
            rotate(&qkv[at..at + head_dim], q, table.row(t), scale);
            let at = at + width;
            rotate(&qkv[at..at + head_dim], k, table.row(t), 1.0);
        }
    }
}

pub fn forward(
    device: DeviceId,
    args: &WindowAttentionForward<'_>,
    ropes: &mut Ropes,
) -> Result<()> {
    const OP: &str = "window_attention_forward";
    let s = args.shape;
    let qkv = read::<f32>(device, OP, args.qkv)?;
    let out = Shared::new(write::<f32>(device, OP, args.out)?);
    let logsumexp = write::<f32>(device, OP, args.logsumexp)?;
    let index = ropes.prepare(s.head_dim, s.theta, 1, s.seq);
    let table = ropes.table(index);
    let (d, width, n) = (s.head_dim, s.width(), s.seq * s.head_dim);
    if s.seq == 0 {
        return Ok(());
    }
    logsumexp.par_chunks_mut(s.seq).enumerate().for_each(|(task, logsumexp)| {
        let (sequence, head) = (task / s.heads, task % s.heads);
        with_local(2 * n + BLOCK * most_keys(&s), |memory| {
            let (q, memory) = memory.split_at_mut(n);
            let (k, scores) = memory.split_at_mut(n);
            let dims = (d, width, packed(&s, sequence, head, 0));
            load(qkv, table, dims, 1.0 / (d as f32).sqrt(), q, k);
            let v = &qkv[packed(&s, sequence, head, 2)..];
            for b in blocks(s) {
                let scores = &mut scores[..b.queries * b.keys];
                let queries = Mat::new(&q[b.first * d..], b.queries, d);
                let keys = Mat::new(&k[b.first_key * d..], b.keys, d);
                let product = Out::new(scores, b.queries, b.keys);
                matmul(&product, queries, keys.t(), Store::Overwrite);
                softmax(scores, &mut logsumexp[b.first..b.first + b.queries], &b, s.window);
                let at = (sequence * s.seq + b.first) * width + head * d;
                // SAFETY: each task writes the `d` columns of its own head.
                let out = unsafe { Out::shared(out, at, b.queries, d, width) };
                let values = Mat::strided(&v[b.first_key * 3 * width..], b.keys, d, 3 * width);
                matmul(&out, Mat::new(scores, b.queries, b.keys), values, Store::Overwrite);
            }
        });
    });
    Ok(())
}

vectorized! {
    /// Turns scores into weights; keys outside the window get weight zero.
    fn softmax(scores: &mut [f32], logsumexp: &mut [f32], block: &Block, window: usize) {
        for (row, (scores, lse)) in
            scores.chunks_exact_mut(block.keys).zip(logsumexp).enumerate()
        {
            let visible = block.visible(row, window);
            scores[..visible.start].fill(0.0);
            scores[visible.end..].fill(0.0);
            let seen = &mut scores[visible];
            let top = max(seen);
            let sum = exp_sum(seen, top);
            let inverse = 1.0 / sum;
            seen.iter_mut().for_each(|w| *w *= inverse);
            *lse = top + sum.ln();
        }
    }
}

pub fn backward(
    device: DeviceId,
    args: &WindowAttentionBackward<'_>,
    ropes: &mut Ropes,
) -> Result<()> {
    const OP: &str = "window_attention_backward";
    let s = args.shape;
    let qkv = read::<f32>(device, OP, args.qkv)?;
    let logsumexp = read::<f32>(device, OP, args.logsumexp)?;
    let d_out = read::<f32>(device, OP, args.d_out)?;
    let d_qkv = Shared::new(write::<f32>(device, OP, args.d_qkv)?);
    let index = ropes.prepare(s.head_dim, s.theta, 1, s.seq);
    let table = ropes.table(index);
    let (d, width, n) = (s.head_dim, s.width(), s.seq * s.head_dim);
    if s.seq == 0 {
        return Ok(());
    }
    let scale = 1.0 / (d as f32).sqrt();
    let area = BLOCK * most_keys(&s);
    logsumexp.par_chunks(s.seq).enumerate().for_each(|(task, logsumexp)| {
        let (sequence, head) = (task / s.heads, task % s.heads);
        with_local(5 * n + 2 * area, |memory| {
            let (q, memory) = memory.split_at_mut(n);
            let (k, memory) = memory.split_at_mut(n);
            let (d_q, memory) = memory.split_at_mut(n);
            let (d_k, memory) = memory.split_at_mut(n);
            let (d_v, memory) = memory.split_at_mut(n);
            let (weights, d_scores) = memory.split_at_mut(area);
            load(qkv, table, (d, width, packed(&s, sequence, head, 0)), scale, q, k);
            let v = &qkv[packed(&s, sequence, head, 2)..];
            let d_o = &d_out[sequence * s.seq * width + head * d..];
            d_k.fill(0.0);
            d_v.fill(0.0);
            for b in blocks(s) {
                let size = b.queries * b.keys;
                let (weights, d_scores) = (&mut weights[..size], &mut d_scores[..size]);
                let queries = Mat::new(&q[b.first * d..], b.queries, d);
                let keys = Mat::new(&k[b.first_key * d..], b.keys, d);
                let values = Mat::strided(&v[b.first_key * 3 * width..], b.keys, d, 3 * width);
                let d_o = Mat::strided(&d_o[b.first * width..], b.queries, d, width);
                let product = Out::new(weights, b.queries, b.keys);
                matmul(&product, queries, keys.t(), Store::Overwrite);
                let product = Out::new(d_scores, b.queries, b.keys);
                matmul(&product, d_o, values.t(), Store::Overwrite);
                let lse = &logsumexp[b.first..b.first + b.queries];
                softmax_gradient(weights, d_scores, lse, &b, s.window);
                let weights = Mat::new(weights, b.queries, b.keys);
                let d_scores = Mat::new(d_scores, b.queries, b.keys);
                let seen = b.first_key * d..(b.first_key + b.keys) * d;
                let d_values = Out::new(&mut d_v[seen.clone()], b.keys, d);
                matmul(&d_values, weights.t(), d_o, Store::Add);
                let d_keys = Out::new(&mut d_k[seen], b.keys, d);
                matmul(&d_keys, d_scores.t(), queries, Store::Add);
                let d_queries = Out::new(&mut d_q[b.first * d..], b.queries, d);
                matmul(&d_queries, d_scores, keys, Store::Overwrite);
            }
            for t in 0..s.seq {
                let row = t * d..(t + 1) * d;
                let at = packed(&s, sequence, head, 0) + t * 3 * width;
                // SAFETY: each task writes the q, k and v columns of its own head.
                let [to_q, to_k, to_v] =
                    [0, 1, 2].map(|p| unsafe { d_qkv.part(at + p * width..at + p * width + d) });
                // q was scaled on load, so its gradient is scaled on store.
                rotate_back(&d_q[row.clone()], to_q, table.row(t), scale);
                rotate_back(&d_k[row.clone()], to_k, table.row(t), 1.0);
                to_v.copy_from_slice(&d_v[row]);
            }
        });
    });
    Ok(())
}

vectorized! {
    /// Scores to weights `p` in place, and `d_p` to `p * (d_p - sum(p * d_p))` in place.
    fn softmax_gradient(
        weights: &mut [f32],
        d_scores: &mut [f32],
        logsumexp: &[f32],
        block: &Block,
        window: usize,
    ) {
        let rows = weights.chunks_exact_mut(block.keys).zip(d_scores.chunks_exact_mut(block.keys));
        for (row, ((p, d), &lse)) in rows.zip(logsumexp).enumerate() {
            let visible = block.visible(row, window);
            for side in [0..visible.start, visible.end..block.keys] {
                p[side.clone()].fill(0.0);
                d[side].fill(0.0);
            }
            let (p, d) = (&mut p[visible.clone()], &mut d[visible]);
            p.iter_mut().for_each(|p| *p = exp(*p - lse));
            let mean = sum_pairs(p, d, |p, d| p * d);
            for (d, p) in d.iter_mut().zip(p.iter()) {
                *d = p * (*d - mean);
            }
        }
    }
}

pub fn decode(
    device: DeviceId,
    args: &WindowAttentionDecode<'_>,
    ropes: &mut Ropes,
) -> Result<()> {
    const OP: &str = "window_attention_decode";
    let s = args.shape;
    let qkv = read::<f32>(device, OP, args.qkv)?;
    let keys = write::<f32>(device, OP, args.keys)?;
    let values = write::<f32>(device, OP, args.values)?;
    let out = write::<f32>(device, OP, args.out)?;
    let index = ropes.prepare(s.head_dim, s.theta, 1, args.position + 1);
    let row = ropes.table(index).row(args.position);
    let (d, width) = (s.head_dim, s.width());
    let slot = args.position % s.window;
    let seen = (args.position + 1).min(s.window);
    let ring = s.window * width;
    out.par_chunks_mut(width)
        .zip(qkv.par_chunks(3 * width))
        .zip(keys.par_chunks_mut(ring).zip(values.par_chunks_mut(ring)))
        .for_each(|((out, qkv), (keys, values))| {
            let (q, kv) = qkv.split_at(width);
            let (k, v) = kv.split_at(width);
            values[slot * width..(slot + 1) * width].copy_from_slice(v);
            with_local(d + seen, |memory| {
                let (rotated, weights) = memory.split_at_mut(d);
                for head in 0..s.heads {
                    let part = head * d..(head + 1) * d;
                    let at = slot * width + head * d;
                    rotate(&k[part.clone()], &mut keys[at..at + d], row, 1.0);
                    rotate(&q[part.clone()], rotated, row, 1.0 / (d as f32).sqrt());
                    for (j, w) in weights.iter_mut().enumerate() {
                        let at = j * width + head * d;
                        *w = dot(rotated, &keys[at..at + d]);
                    }
                    let top = max(weights);
                    let inverse = 1.0 / exp_sum(weights, top);
                    let out = &mut out[part];
                    out.fill(0.0);
                    for (j, w) in weights.iter().enumerate() {
                        let at = j * width + head * d;
                        axpy(w * inverse, &values[at..at + d], out);
                    }
                }
            });
        });
    Ok(())
}
