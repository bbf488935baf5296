//! Gradients of sliding-window attention; the scores are computed again.

use super::{TILE, Tile, most_columns, output_of, part_of};
use crate::cpu::head::{Turn, load_rows, padded, rows_to_panels, store_rows};
use crate::cpu::lanes::WIDTH;
use crate::cpu::math::{exp, sum_pairs};
use crate::cpu::matmul::Store;
use crate::cpu::memory::{read, write};
use crate::cpu::parallel::Shared;
use crate::cpu::pool::for_each;
use crate::cpu::ropes::Ropes;
use crate::cpu::scratch::with_local;
use crate::cpu::tile::{Extents, Left, Right, product};
use crate::ops::{WindowAttentionBackward, WindowAttentionShape};
use crate::rope::RopeTable;
use crate::{DeviceId, Result};

/// Queries whose weights are kept until they have reached the gradients of keys and values.
const BLOCK: usize = 4 * TILE;

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
    if s.seq == 0 {
        return Ok(());
    }
    for_each(logsumexp.chunks(s.seq).enumerate(), |(task, logsumexp)| {
        let place = (task / s.heads, task % s.heads);
        // SAFETY: each task writes the q, k and v columns of its own head.
        unsafe { head_gradient(&s, table, place, (qkv, d_out, logsumexp), d_qkv) };
    });
    Ok(())
}

/// # Safety
/// Nothing else may touch this head of `d_qkv` at the same time.
unsafe fn head_gradient(
    s: &WindowAttentionShape,
    table: &RopeTable,
    place: (usize, usize),
    (qkv, d_out, logsumexp): (&[f32], &[f32], &[f32]),
    d_qkv: Shared<'_, f32>,
) {
    let [q, k, v] = [0, 1, 2].map(|part| part_of(s, place, part));
    let (d, length) = (s.head_dim, padded(s.head_dim));
    let (all, most) = (padded(s.seq) * length, most_columns(s, BLOCK));
    let turn = Turn { table, first: 0, scale: 1.0 };
    let scaled = Turn { scale: 1.0 / (d as f32).sqrt(), ..turn };
    with_local(5 * all + (2 * BLOCK + TILE) * length + 2 * BLOCK * most, |memory| {
        let mut rest = memory;
        let mut take = |n: usize| {
            let (part, after) = std::mem::take(&mut rest).split_at_mut(n);
            rest = after;
            part
        };
        let [key_panels, value_panels, keys, d_keys, d_values] = [0; 5].map(|_| take(all));
        let [queries, d_outs] = [0; 2].map(|_| take(BLOCK * length));
        let d_queries = take(TILE * length);
        let [weights, d_scores] = [0; 2].map(|_| take(BLOCK * most));
        // The keys' place serves the values while they wait to be transposed.
        load_rows(qkv, v, 0..s.seq, None, keys);
        rows_to_panels(keys, length, value_panels);
        load_rows(qkv, k, 0..s.seq, Some(turn), keys);
        rows_to_panels(keys, length, key_panels);
        d_keys.fill(0.0);
        d_values.fill(0.0);
        for first in (0..s.seq).step_by(BLOCK) {
            let end = (first + BLOCK).min(s.seq);
            load_rows(qkv, q, first..end, Some(scaled), queries);
            load_rows(d_out, output_of(s, place), first..end, None, d_outs);
            let base = Tile::new(s, first).key;
            for query in (first..end).step_by(TILE) {
                let tile = Tile::new(s, query);
                let row = query - first;
                let at = row * most + tile.key - base;
                let (weights, d_scores) = (&mut weights[at..], &mut d_scores[at..]);
                let rows = row * length..(row + tile.queries) * length;
                let extents =
                    Extents { rows: tile.queries, columns: tile.columns(), depth: length };
                let left = Left { data: &queries[rows.clone()], row: length, step: 1 };
                let right = Right::panels(&key_panels[tile.key * length..], length);
                product(weights, most, extents, left, right, Store::Overwrite);
                let left = Left { data: &d_outs[rows], row: length, step: 1 };
                let right = Right::panels(&value_panels[tile.key * length..], length);
                product(d_scores, most, extents, left, right, Store::Overwrite);
                let lse = &logsumexp[query..query + tile.queries];
                softmax_gradient(weights, d_scores, most, &tile, s.window, lse);
                let extents = Extents { rows: tile.queries, columns: length, depth: tile.keys };
                let left = Left { data: d_scores, row: most, step: 1 };
                let right = Right::rows(&keys[tile.key * length..], length);
                product(d_queries, length, extents, left, right, Store::Overwrite);
                let range = query..query + tile.queries;
                // q was scaled on load, so its gradient is scaled on store.
                // SAFETY: the caller's promise.
                unsafe { store_rows(d_queries, d_qkv, q, range, Some(scaled), Store::Overwrite) };
            }
            for run in runs(s, base, first..end) {
                let extents =
                    Extents { rows: run.keys.len(), columns: length, depth: run.queries.len() };
                let at = (run.queries.start - first) * most + run.keys.start - base;
                let rows = (run.queries.start - first) * length..(end - first) * length;
                let to = run.keys.start * length..run.keys.end * length;
                for (from, right, to) in [
                    (&*weights, &d_outs[rows.clone()], &mut d_values[to.clone()]),
                    (&*d_scores, &queries[rows], &mut d_keys[to]),
                ] {
                    let left = Left { data: &from[at..], row: 1, step: most };
                    product(to, length, extents, left, Right::rows(right, length), Store::Add);
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe {
            store_rows(d_keys, d_qkv, k, 0..s.seq, Some(turn), Store::Overwrite);
            store_rows(d_values, d_qkv, v, 0..s.seq, None, Store::Overwrite);
        }
    });
}

/// Neighbouring keys that the same tiles of queries have met.
struct Run {
    keys: std::ops::Range<usize>,
    queries: std::ops::Range<usize>,
}

/// The keys from `first` on that a block of queries has met, in runs.
fn runs(
    s: &WindowAttentionShape,
    first: usize,
    block: std::ops::Range<usize>,
) -> impl Iterator<Item = Run> {
    let (window, last) = (s.window.min(s.seq), block.end);
    // From the tile of the key itself to the last one whose keys, rounded to sixteen, begin
    // at or before it.
    let met = move |key: usize| {
        let end = (key / WIDTH * WIDTH + WIDTH - 1 + window).next_multiple_of(TILE);
        (key / TILE * TILE).max(block.start)..end.min(block.end)
    };
    let mut key = first;
    std::iter::from_fn(move || {
        let (start, queries) = (key, met(key));
        while key < last && met(key) == queries {
            key = (key + TILE).min(last);
        }
        (start < key).then_some(Run { keys: start..key, queries })
    })
}

vectorized! {
    /// Scores to weights `p` in place, and `d_p` to `p * (d_p - sum(p * d_p))` in place.
    fn softmax_gradient(
        weights: &mut [f32],
        d_scores: &mut [f32],
        stride: usize,
        tile: &Tile,
        window: usize,
        logsumexp: &[f32],
    ) {
        for (row, &lse) in logsumexp.iter().enumerate() {
            let columns = row * stride..row * stride + tile.columns();
            let (p, d) = (&mut weights[columns.clone()], &mut d_scores[columns]);
            tile.mask(row, window, p);
            p.iter_mut().for_each(|p| *p = exp(*p - lse));
            let mean = sum_pairs(p, d, |p, d| p * d);
            for (d, p) in d.iter_mut().zip(p.iter()) {
                *d = p * (*d - mean);
            }
        }
    }
}
