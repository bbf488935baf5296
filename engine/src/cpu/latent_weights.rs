//! What tokens make of rows that belong to the latents of every head: their weights, the mixture
//! of the rows, and back.

use super::head::{load_rows, padded, rows_to_panels, store_rows};
use super::lanes::WIDTH;
use super::latent_attention::{
    BLOCK, Tokens, Turns, latent_numbers, latents_of, mixture, scores, softmax, softmax_gradient,
    tokens_of,
};
use super::latent_values::mixed;
use super::matmul::Store;
use super::parallel::Shared;
use super::tile::{Extents, Left, Right, product};
use crate::ops::LatentAttentionShape;

/// Tokens of a task: blocks that share what is made of the latents of their sequence.
const CHUNK: usize = 4 * BLOCK;

/// Tasks of all tokens.
pub fn tasks(s: &LatentAttentionShape) -> usize {
    s.batch * chunks(s)
}

/// Tasks of the tokens of a sequence.
pub fn chunks(s: &LatentAttentionShape) -> usize {
    s.seq.div_ceil(CHUNK)
}

/// The sequence of a task, and its tokens in blocks.
pub fn blocks(s: &LatentAttentionShape, task: usize) -> (usize, impl Iterator<Item = Tokens>) {
    let (sequence, first) = (task / chunks(s), task % chunks(s) * CHUNK);
    let end = (first + CHUNK).min(s.seq);
    let block = move |first| Tokens { sequence, first, count: BLOCK.min(end - first) };
    (sequence, (first..end).step_by(BLOCK).map(block))
}

/// Takes parts of a task's memory.
pub fn take<'m>(memory: &mut &'m mut [f32], len: usize) -> &'m mut [f32] {
    let (part, rest) = std::mem::take(memory).split_at_mut(len);
    *memory = rest;
    part
}

/// `columns` columns of rows `stride` apart, in groups of sixteen as the right factor of a
/// [`product`] whose inner index is the row.
pub fn row_panels(rows: &[f32], (columns, stride): (usize, usize), panels: &mut [f32]) {
    let count = panels.len() / padded(columns);
    for (group, panel) in panels.chunks_exact_mut(count * WIDTH).enumerate() {
        let width = WIDTH.min(columns - group * WIDTH);
        for (row, to) in panel.chunks_exact_mut(WIDTH).enumerate() {
            let from = row * stride + group * WIDTH;
            to[..width].copy_from_slice(&rows[from..from + width]);
            to[width..].fill(0.0);
        }
    }
}

/// The attention of a sequence: what its tasks work with.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    pub shape: &'a LatentAttentionShape,
    pub turns: &'a Turns<'a>,
    pub q: &'a [f32],
    pub kv: &'a [f32],
}

impl Attention<'_> {
    /// Numbers of the keys of a sequence.
    pub fn keys_len(&self) -> usize {
        self.shape.heads * latent_numbers(self.shape)
    }

    /// Numbers of the queries of a block.
    pub fn queries_len(&self) -> usize {
        self.shape.heads * BLOCK * padded(self.shape.head_dim)
    }

    /// Numbers of the weights of a block.
    pub fn weights_len(&self) -> usize {
        mixed(self.shape) * BLOCK
    }

    /// The rotated keys of a sequence, head by head.
    pub fn load_keys(&self, sequence: usize, keys: &mut [f32]) {
        let s = self.shape;
        for (head, keys) in keys.chunks_exact_mut(latent_numbers(s)).enumerate() {
            let place = latents_of(s, sequence, head, 0);
            load_rows(self.kv, place, 0..s.latents, self.turns.keys, keys);
        }
    }

    /// The weights `[heads * latents, BLOCK]` of a block of tokens, and their rotated queries head
    /// by head. `panels` has room for the queries of one head.
    pub fn weigh(
        &self,
        tokens: &Tokens,
        keys: &[f32],
        queries: &mut [f32],
        panels: &mut [f32],
        weights: &mut [f32],
    ) {
        let s = self.shape;
        let length = padded(s.head_dim);
        let panels = &mut panels[..BLOCK * length];
        let heads = queries.chunks_exact_mut(BLOCK * length);
        let heads = heads.zip(weights.chunks_exact_mut(s.latents * BLOCK));
        let heads = heads.zip(keys.chunks_exact(latent_numbers(s)));
        for (head, ((queries, weights), keys)) in heads.enumerate() {
            let place = tokens_of(s, tokens.sequence, head);
            load_rows(self.q, place, tokens.range(), Some(self.turns.queries), queries);
            rows_to_panels(queries, length, panels);
            scores(s, keys, panels, tokens.count, weights);
            softmax(weights);
        }
    }

    /// Turns the gradient of the weights into that of the scores, and these into the gradient of
    /// the queries, and of the rotated keys, which is added to `d_keys`.
    ///
    /// # Safety
    /// Nothing else may touch these tokens of `d_q` at the same time.
    pub unsafe fn scores_gradient(
        &self,
        tokens: &Tokens,
        (keys, queries, weights): (&[f32], &[f32], &[f32]),
        d_weights: &mut [f32],
        d_q: Option<(Shared<'_, f32>, Store)>,
        (d_queries, d_keys): (&mut [f32], &mut [f32]),
    ) {
        let s = self.shape;
        let (length, size) = (padded(s.head_dim), latent_numbers(s));
        let d_queries = &mut d_queries[..BLOCK * length];
        for head in 0..s.heads {
            let of = |n: usize| head * n..(head + 1) * n;
            let d_scores = &mut d_weights[of(s.latents * BLOCK)];
            softmax_gradient(&weights[of(s.latents * BLOCK)], d_scores);
            if let Some((d_q, store)) = d_q {
                mixture(s, d_scores, &keys[of(size)], tokens.count, d_queries);
                let place = tokens_of(s, tokens.sequence, head);
                let turn = Some(self.turns.queries);
                // SAFETY: the caller's promise.
                unsafe { store_rows(d_queries, d_q, place, tokens.range(), turn, store) };
            }
            let extents = Extents { rows: s.latents, columns: length, depth: tokens.count };
            let left = Left { data: d_scores, row: BLOCK, step: 1 };
            let right = Right::rows(&queries[of(BLOCK * length)], length);
            product(&mut d_keys[of(size)], length, extents, left, right, Store::Add);
        }
    }

    /// Puts the gradient of the rotated keys of a sequence into their places in `d_kv`.
    ///
    /// # Safety
    /// Nothing else may touch the keys of this sequence at the same time.
    pub unsafe fn store_keys(&self, sequence: usize, d_keys: &[f32], d_kv: Shared<'_, f32>) {
        let s = self.shape;
        for (head, rows) in d_keys.chunks_exact(latent_numbers(s)).enumerate() {
            let (place, turn) = (latents_of(s, sequence, head, 0), self.turns.keys);
            // SAFETY: the caller's promise.
            unsafe { store_rows(rows, d_kv, place, 0..s.latents, turn, Store::Overwrite) };
        }
    }
}

/// Products of the weights `[mixed, BLOCK]` of `count` tokens with rows of the latents.
#[derive(Clone, Copy)]
pub struct Mixture {
    pub mixed: usize,
    pub count: usize,
}

impl Mixture {
    /// `out [tokens, columns] = weights^T rows`, the rows from [`row_panels`].
    pub fn mix(self, weights: &[f32], panels: &[f32], columns: usize, out: &mut [f32]) {
        let extents = Extents { rows: self.count, columns, depth: self.mixed };
        let left = Left { data: weights, row: 1, step: BLOCK };
        product(out, columns, extents, left, Right::panels(panels, self.mixed), Store::Overwrite);
    }

    /// `d_weights (+)= rows d_out^T`, with `columns` columns of `rows` `stride` apart and those of
    /// `d_out` in panels.
    pub fn weights_gradient(
        self,
        (rows, columns, stride): (&[f32], usize, usize),
        panels: &[f32],
        d_weights: &mut [f32],
        store: Store,
    ) {
        let extents = Extents { rows: self.mixed, columns: padded(self.count), depth: columns };
        let left = Left { data: rows, row: stride, step: 1 };
        let right = Right::panels(panels, padded(columns));
        product(d_weights, BLOCK, extents, left, right, store);
    }

    /// `d_rows += weights d_out` with the rows of `d_out` `columns` long, those of `d_rows`
    /// `stride` apart.
    pub fn rows_gradient(
        self,
        weights: &[f32],
        (d_out, columns): (&[f32], usize),
        (d_rows, stride): (&mut [f32], usize),
    ) {
        let extents = Extents { rows: self.mixed, columns, depth: self.count };
        let left = Left { data: weights, row: BLOCK, step: 1 };
        product(d_rows, stride, extents, left, Right::rows(d_out, columns), Store::Add);
    }
}
