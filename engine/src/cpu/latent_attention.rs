//! Attention to a handful of latents: a block of tokens per task, one head after the other.
//!
//! The scores of a head stand with the tokens side by side, `[latents, tokens]`, so that the
//! softmax over the few latents runs over many tokens at once.

use super::head::{Place, Turn, load_rows, padded, rows_to_panels, store_rows};
use super::lanes::WIDTH;
use super::math::{axpy, exp};
use super::matmul::Store;
use super::memory::{read, write};
use super::parallel::Shared;
use super::pool::for_each;
use super::ropes::Ropes;
use super::scratch::{Partials, with_local};
use super::tile::{Extents, Left, Right, product};
use crate::ops::{
    KvGradient, LatentAttentionBackward, LatentAttentionForward, LatentAttentionReduce,
    LatentAttentionShape,
};
use crate::{DeviceId, Result};

/// Tokens per task.
pub(super) const BLOCK: usize = 64;

/// Numbers of the gradients of keys and values from each block of tokens.
fn partial_sums(s: &LatentAttentionShape) -> usize {
    s.batch * s.seq.div_ceil(BLOCK) * s.heads * 2 * latent_numbers(s)
}

/// Numbers of the keys, or the values, of a head, padded.
pub(super) fn latent_numbers(s: &LatentAttentionShape) -> usize {
    s.latents * padded(s.head_dim)
}

/// The rotations of queries and keys.
pub(super) struct Turns<'a> {
    pub queries: Turn<'a>,
    pub keys: Option<Turn<'a>>,
}

pub(super) fn turns<'a>(s: &LatentAttentionShape, ropes: &'a mut Ropes) -> Turns<'a> {
    let rows = s.first_position + s.seq;
    let tokens = ropes.prepare(s.head_dim, s.theta, 1, rows);
    let latents =
        s.latent_stride.map(|stride| ropes.prepare(s.head_dim, s.theta, stride, s.latents));
    let ropes = &*ropes;
    let of = |index, first, scale| Turn { table: ropes.table(index), first, scale };
    Turns {
        queries: of(tokens, s.first_position, 1.0 / (s.head_dim as f32).sqrt()),
        keys: latents.map(|index| of(index, 0, 1.0)),
    }
}

/// A head among the tokens of a sequence.
pub(super) fn tokens_of(s: &LatentAttentionShape, sequence: usize, head: usize) -> Place {
    let first = sequence * s.seq * s.width() + head * s.head_dim;
    Place { first, stride: s.width(), head_dim: s.head_dim }
}

/// A head among the keys (0) or the values (1) of a sequence.
pub(super) fn latents_of(
    s: &LatentAttentionShape,
    sequence: usize,
    head: usize,
    part: usize,
) -> Place {
    let stride = 2 * s.width();
    let first = sequence * s.latents * stride + part * s.width() + head * s.head_dim;
    Place { first, stride, head_dim: s.head_dim }
}

/// The tokens of a task.
pub(super) struct Tokens {
    pub sequence: usize,
    pub first: usize,
    pub count: usize,
}

impl Tokens {
    fn of_task(s: &LatentAttentionShape, task: usize) -> Self {
        let blocks = s.seq.div_ceil(BLOCK);
        let first = task % blocks * BLOCK;
        Self { sequence: task / blocks, first, count: BLOCK.min(s.seq - first) }
    }

    pub fn range(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }
}

/// `[latents, tokens] = rows tokens^T`, the tokens in panels.
pub(super) fn scores(
    s: &LatentAttentionShape,
    rows: &[f32],
    panels: &[f32],
    count: usize,
    out: &mut [f32],
) {
    let length = padded(s.head_dim);
    let extents = Extents { rows: s.latents, columns: padded(count), depth: length };
    let left = Left { data: rows, row: length, step: 1 };
    product(out, BLOCK, extents, left, Right::panels(panels, length), Store::Overwrite);
}

/// `[tokens, head_dim] = scores^T rows`.
pub(super) fn mixture(
    s: &LatentAttentionShape,
    scores: &[f32],
    rows: &[f32],
    count: usize,
    out: &mut [f32],
) {
    let length = padded(s.head_dim);
    let extents = Extents { rows: count, columns: length, depth: s.latents };
    let left = Left { data: scores, row: 1, step: BLOCK };
    product(out, length, extents, left, Right::rows(rows, length), Store::Overwrite);
}

pub fn forward(
    device: DeviceId,
    args: &LatentAttentionForward<'_>,
    ropes: &mut Ropes,
) -> Result<()> {
    const OP: &str = "latent_attention_forward";
    let s = args.shape;
    let q = read::<f32>(device, OP, args.q)?;
    let kv = read::<f32>(device, OP, args.kv)?;
    let out = Shared::new(write::<f32>(device, OP, args.out)?);
    let turns = turns(&s, ropes);
    let (length, size) = (padded(s.head_dim), latent_numbers(&s));
    for_each(0..s.batch * s.seq.div_ceil(BLOCK), |task| {
        let tokens = Tokens::of_task(&s, task);
        with_local(2 * size + 2 * BLOCK * length + s.latents * BLOCK, |memory| {
            let (keys, memory) = memory.split_at_mut(size);
            let (values, memory) = memory.split_at_mut(size);
            let (rows, memory) = memory.split_at_mut(BLOCK * length);
            let (panels, weights) = memory.split_at_mut(BLOCK * length);
            for head in 0..s.heads {
                let [from_k, from_v] = [0, 1].map(|p| latents_of(&s, tokens.sequence, head, p));
                load_rows(kv, from_k, 0..s.latents, turns.keys, keys);
                load_rows(kv, from_v, 0..s.latents, None, values);
                let place = tokens_of(&s, tokens.sequence, head);
                load_rows(q, place, tokens.range(), Some(turns.queries), rows);
                rows_to_panels(rows, length, panels);
                scores(&s, keys, panels, tokens.count, weights);
                softmax(weights);
                mixture(&s, weights, values, tokens.count, rows);
                // SAFETY: the token blocks of the tasks are disjoint.
                unsafe { store_rows(rows, out, place, tokens.range(), None, Store::Overwrite) };
            }
        });
    });
    Ok(())
}

vectorized! {
    /// Scores `[latents, BLOCK]` to weights that sum to one in every column.
    pub(super) fn softmax(scores: &mut [f32]) {
        for first in (0..BLOCK).step_by(WIDTH) {
            let mut top = [f32::NEG_INFINITY; WIDTH];
            for row in scores.chunks_exact(BLOCK) {
                for (top, &x) in top.iter_mut().zip(&row[first..first + WIDTH]) {
                    *top = if x > *top { x } else { *top };
                }
            }
            let mut sum = [0.0; WIDTH];
            for row in scores.chunks_exact_mut(BLOCK) {
                let row = &mut row[first..first + WIDTH];
                for ((x, top), sum) in row.iter_mut().zip(top).zip(&mut sum) {
                    *x = exp(*x - top);
                    *sum += *x;
                }
            }
            let inverse = sum.map(|sum| 1.0 / sum);
            for row in scores.chunks_exact_mut(BLOCK) {
                let row = &mut row[first..first + WIDTH];
                row.iter_mut().zip(inverse).for_each(|(x, inverse)| *x *= inverse);
            }
        }
    }
}

vectorized! {
    /// `d = p * (d - sum(p * d))` in every column of `[latents, BLOCK]`.
    pub(super) fn softmax_gradient(weights: &[f32], d_weights: &mut [f32]) {
        for first in (0..BLOCK).step_by(WIDTH) {
            let mut mean = [0.0; WIDTH];
            let part = first..first + WIDTH;
            for (p, d) in weights.chunks_exact(BLOCK).zip(d_weights.chunks_exact(BLOCK)) {
                let terms = p[part.clone()].iter().zip(&d[part.clone()]);
                mean.iter_mut().zip(terms).for_each(|(mean, (p, d))| *mean += p * d);
            }
            for (p, d) in weights.chunks_exact(BLOCK).zip(d_weights.chunks_exact_mut(BLOCK)) {
                let terms = p[part.clone()].iter().zip(&mut d[part.clone()]);
                terms.zip(mean).for_each(|((p, d), mean)| *d = p * (*d - mean));
            }
        }
    }
}

pub fn backward(
    device: DeviceId,
    args: &LatentAttentionBackward<'_>,
    ropes: &mut Ropes,
    partials: &mut Partials,
) -> Result<()> {
    const OP: &str = "latent_attention_backward";
    let s = args.shape;
    let inputs = (read(device, OP, args.q)?, read(device, OP, args.kv)?);
    let d_out = read::<f32>(device, OP, args.d_out)?;
    let d_q = args.d_q.map(|d_q| write::<f32>(device, OP, d_q)).transpose()?.map(Shared::new);
    let store = if args.accumulate_q { Store::Add } else { Store::Overwrite };
    let d_kv = match args.d_kv {
        KvGradient::Complete(d_kv) => d_kv.clone(),
        // The whole gradient, as all sums are added here.
        KvGradient::Sums(sums) => sums.slice(0..s.kv_len().min(sums.len()))?,
    };
    let d_kv = Shared::new(write::<f32>(device, OP, &d_kv)?);
    let turns = turns(&s, ropes);
    if s.seq == 0 && matches!(args.d_kv, KvGradient::Sums(_)) {
        return Ok(());
    }
    let (blocks, size) = (s.seq.div_ceil(BLOCK), latent_numbers(&s));
    let sums = partials.floats(partial_sums(&s));
    for_each(sums.chunks_exact_mut(s.heads * 2 * size).enumerate(), |(task, sums)| {
        let tokens = Tokens::of_task(&s, task);
        for (head, sums) in sums.chunks_exact_mut(2 * size).enumerate() {
            let d_q = d_q.map(|d_q| (d_q, store));
            // SAFETY: the token blocks of the tasks are disjoint.
            unsafe { head_gradient(&s, &turns, inputs, d_out, (&tokens, head), d_q, sums) };
        }
    });
    let sums = &*sums;
    for_each(0..s.batch * s.heads, |task| {
        let (sequence, head) = (task / s.heads, task % s.heads);
        with_local(2 * size, |total| {
            total.fill(0.0);
            for block in 0..blocks {
                let at = ((sequence * blocks + block) * s.heads + head) * 2 * size;
                axpy(1.0, &sums[at..at + 2 * size], total);
            }
            let (d_keys, d_values) = total.split_at(size);
            for (part, rows, turn) in [(0, d_keys, turns.keys), (1, d_values, None)] {
                let place = latents_of(&s, sequence, head, part);
                // SAFETY: each task writes its own head of its own sequence.
                unsafe { store_rows(rows, d_kv, place, 0..s.latents, turn, Store::Overwrite) };
            }
        });
    });
    Ok(())
}

/// What the backward pass left as sums is the gradient; without tokens there is none, and it is 0.
pub fn reduce(device: DeviceId, args: &LatentAttentionReduce<'_>) -> Result<()> {
    const OP: &str = "latent_attention_reduce";
    let s = args.shape;
    let d_kv = write::<f32>(device, OP, args.d_kv)?;
    if s.seq == 0 || s.batch == 0 {
        d_kv.fill(0.0);
        return Ok(());
    }
    let sums = read::<f32>(device, OP, args.sums)?.chunks_exact(s.sums_len());
    for (d_kv, sums) in d_kv.chunks_exact_mut(s.kv_len()).zip(sums) {
        d_kv.copy_from_slice(&sums[..s.kv_len()]);
    }
    Ok(())
}

/// Gradients of a block of tokens: of its queries into `d_q`, and its share of those of the
/// keys, still rotated, and values into `sums`.
///
/// # Safety
/// Nothing else may touch these tokens of `d_q` at the same time.
unsafe fn head_gradient(
    s: &LatentAttentionShape,
    turns: &Turns<'_>,
    (q, kv): (&[f32], &[f32]),
    d_out: &[f32],
    (tokens, head): (&Tokens, usize),
    d_q: Option<(Shared<'_, f32>, Store)>,
    sums: &mut [f32],
) {
    let (length, size) = (padded(s.head_dim), latent_numbers(s));
    let area = BLOCK * length;
    with_local(2 * size + 4 * area + 2 * s.latents * BLOCK, |memory| {
        let (keys, memory) = memory.split_at_mut(size);
        let (values, memory) = memory.split_at_mut(size);
        let (queries, memory) = memory.split_at_mut(area);
        let (d_outs, memory) = memory.split_at_mut(area);
        let (panels, memory) = memory.split_at_mut(area);
        let (d_queries, memory) = memory.split_at_mut(area);
        let (weights, d_scores) = memory.split_at_mut(s.latents * BLOCK);
        let [from_k, from_v] = [0, 1].map(|part| latents_of(s, tokens.sequence, head, part));
        load_rows(kv, from_k, 0..s.latents, turns.keys, keys);
        load_rows(kv, from_v, 0..s.latents, None, values);
        let place = tokens_of(s, tokens.sequence, head);
        load_rows(q, place, tokens.range(), Some(turns.queries), queries);
        rows_to_panels(queries, length, panels);
        scores(s, keys, panels, tokens.count, weights);
        softmax(weights);
        load_rows(d_out, place, tokens.range(), None, d_outs);
        rows_to_panels(d_outs, length, panels);
        scores(s, values, panels, tokens.count, d_scores);
        softmax_gradient(weights, d_scores);
        if let Some((d_q, store)) = d_q {
            mixture(s, d_scores, keys, tokens.count, d_queries);
            let turn = Some(turns.queries);
            // SAFETY: the caller's promise.
            unsafe { store_rows(d_queries, d_q, place, tokens.range(), turn, store) };
        }
        let (d_keys, d_values) = sums.split_at_mut(size);
        let extents = Extents { rows: s.latents, columns: length, depth: tokens.count };
        for (from, rows, to) in [(d_scores, queries, d_keys), (weights, d_outs, d_values)] {
            let left = Left { data: from, row: BLOCK, step: 1 };
            product(to, length, extents, left, Right::rows(rows, length), Store::Overwrite);
        }
    });
}
