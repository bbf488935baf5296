//! Sliding-window attention, one head of one sequence per task.
//!
//! A task copies its keys and values once, then walks over tiles of eight queries. The scores
//! of a tile are formed against just the keys that one of its queries sees, rounded to
//! sixteen, and are used up while they are in the nearest cache.

mod backward;
mod decode;

use super::head::{Place, Turn, load_rows, padded, rows_to_panels, store_rows};
use super::lanes::WIDTH;
use super::math::{exp_sum, max};
use super::matmul::Store;
use super::memory::{read, write};
use super::parallel::Shared;
use super::pool::for_each;
use super::ropes::Ropes;
use super::scratch::with_local;
use super::tile::{Extents, Left, Right, product};
use crate::ops::{WindowAttentionForward, WindowAttentionShape};
use crate::{DeviceId, Result};

pub use backward::backward;
pub use decode::decode;

/// Queries per tile.
const TILE: usize = 8;

/// A tile of queries and the keys that it meets.
struct Tile {
    query: usize,
    queries: usize,
    /// A multiple of sixteen.
    key: usize,
    keys: usize,
}

impl Tile {
    fn new(shape: &WindowAttentionShape, query: usize) -> Self {
        let queries = TILE.min(shape.seq - query);
        let key = (query + 1).saturating_sub(shape.window) / WIDTH * WIDTH;
        Self { query, queries, key, keys: query + queries - key }
    }

    /// Columns of its scores: its keys, padded.
    fn columns(&self) -> usize {
        padded(self.keys)
    }

    /// Columns that query `row` sees.
    #[inline(always)]
    fn visible(&self, row: usize, window: usize) -> std::ops::Range<usize> {
        let end = self.query + row + 1;
        end.saturating_sub(window).max(self.key) - self.key..end - self.key
    }

    /// Gives the columns of query `row` that it does not see the score of weight zero.
    #[inline(always)]
    fn mask(&self, row: usize, window: usize, scores: &mut [f32]) {
        let visible = self.visible(row, window);
        scores[..visible.start].fill(f32::NEG_INFINITY);
        scores[visible.end..].fill(f32::NEG_INFINITY);
    }
}

/// Columns of the scores of `queries` neighbouring queries at most.
fn most_columns(shape: &WindowAttentionShape, queries: usize) -> usize {
    padded((shape.window - 1).saturating_add(queries + WIDTH - 1).min(shape.seq))
}

/// Part `part` (0 q, 1 k, 2 v) of a head in packed qkv.
fn part_of(s: &WindowAttentionShape, (sequence, head): (usize, usize), part: usize) -> Place {
    let stride = 3 * s.width();
    let first = sequence * s.seq * stride + part * s.width() + head * s.head_dim;
    Place { first, stride, head_dim: s.head_dim }
}

/// A head in an output of attention.
fn output_of(s: &WindowAttentionShape, (sequence, head): (usize, usize)) -> Place {
    let first = sequence * s.seq * s.width() + head * s.head_dim;
    Place { first, stride: s.width(), head_dim: s.head_dim }
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
    if s.seq == 0 {
        return Ok(());
    }
    let (d, length) = (s.head_dim, padded(s.head_dim));
    let (all, most) = (padded(s.seq) * length, most_columns(&s, TILE));
    let turn = Turn { table, first: 0, scale: 1.0 };
    let scaled = Turn { scale: 1.0 / (d as f32).sqrt(), ..turn };
    for_each(logsumexp.chunks_mut(s.seq).enumerate(), |(task, logsumexp)| {
        let place = (task / s.heads, task % s.heads);
        let [q, k, v] = [0, 1, 2].map(|part| part_of(&s, place, part));
        with_local(2 * all + 2 * TILE * length + TILE * most, |memory| {
            let (keys, memory) = memory.split_at_mut(all);
            let (values, memory) = memory.split_at_mut(all);
            let (queries, memory) = memory.split_at_mut(TILE * length);
            let (results, scores) = memory.split_at_mut(TILE * length);
            // The values' place serves the keys while they wait to be transposed.
            load_rows(qkv, k, 0..s.seq, Some(turn), values);
            rows_to_panels(values, length, keys);
            load_rows(qkv, v, 0..s.seq, None, values);
            for query in (0..s.seq).step_by(TILE) {
                let tile = Tile::new(&s, query);
                load_rows(qkv, q, query..query + tile.queries, Some(scaled), queries);
                let extents =
                    Extents { rows: tile.queries, columns: tile.columns(), depth: length };
                let left = Left { data: queries, row: length, step: 1 };
                let right = Right::panels(&keys[tile.key * length..], length);
                product(scores, most, extents, left, right, Store::Overwrite);
                let lse = &mut logsumexp[query..query + tile.queries];
                softmax(scores, most, &tile, s.window, lse);
                let extents = Extents { rows: tile.queries, columns: length, depth: tile.keys };
                let left = Left { data: scores, row: most, step: 1 };
                let right = Right::rows(&values[tile.key * length..], length);
                product(results, length, extents, left, right, Store::Overwrite);
                let range = query..query + tile.queries;
                // SAFETY: each task writes the columns of its own head.
                unsafe {
                    store_rows(results, out, output_of(&s, place), range, None, Store::Overwrite)
                };
            }
        });
    });
    Ok(())
}

vectorized! {
    /// Turns scores into weights.
    fn softmax(
        scores: &mut [f32],
        stride: usize,
        tile: &Tile,
        window: usize,
        logsumexp: &mut [f32],
    ) {
        for (row, lse) in logsumexp.iter_mut().enumerate() {
            let scores = &mut scores[row * stride..row * stride + tile.columns()];
            tile.mask(row, window, scores);
            let top = max(scores);
            let sum = exp_sum(scores, top);
            let inverse = 1.0 / sum;
            scores.iter_mut().for_each(|w| *w *= inverse);
            *lse = top + sum.ln();
        }
    }
}
