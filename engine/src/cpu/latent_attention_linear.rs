//! Attention to a handful of latents with the projection behind it.

use super::head::{padded, rows_to_panels};
use super::latent_attention::{BLOCK, turns};
use super::latent_values::{Projection, mixed};
use super::latent_weights::{Attention, Mixture, blocks, chunks, row_panels, take, tasks};
use super::math::axpy;
use super::matmul::Store;
use super::memory::{read, write};
use super::parallel::Shared;
use super::pool::for_each;
use super::ropes::Ropes;
use super::scratch::{Partials, with_local};
use crate::ops::{LatentAttentionLinearBackward, LatentAttentionLinearForward};
use crate::{DeviceId, Result};

pub fn forward(
    device: DeviceId,
    args: &LatentAttentionLinearForward<'_>,
    ropes: &mut Ropes,
    partials: &mut Partials,
) -> Result<()> {
    const OP: &str = "latent_attention_linear_forward";
    let s = args.shape;
    let (q, kv) = (read::<f32>(device, OP, args.q)?, read::<f32>(device, OP, args.kv)?);
    let weight = read::<f32>(device, OP, args.weight)?;
    let residual = read::<f32>(device, OP, args.residual)?;
    let out = Shared::new(write::<f32>(device, OP, args.out)?);
    let turns = &turns(&s, ropes);
    let attention = Attention { shape: &s, turns, q, kv };
    let (dim, mixed) = (s.width(), mixed(&s));
    let length = padded(dim);
    let values = partials.floats(s.batch * mixed * dim);
    Projection { shape: s, kv, weight }.values(values);
    let values = &*values;
    let (keys_len, queries_len) = (attention.keys_len(), attention.queries_len());
    let own = keys_len + mixed * length + queries_len + attention.weights_len() + BLOCK * length;
    for_each(0..tasks(&s), |task| {
        with_local(own, |mut memory| {
            let memory = &mut memory;
            let (keys, panels) = (take(memory, keys_len), take(memory, mixed * length));
            let (queries, weights) =
                (take(memory, queries_len), take(memory, attention.weights_len()));
            let rows = take(memory, BLOCK * length);
            let (sequence, blocks) = blocks(&s, task);
            attention.load_keys(sequence, keys);
            row_panels(&values[sequence * mixed * dim..], (dim, dim), panels);
            for tokens in blocks {
                attention.weigh(&tokens, keys, queries, rows, weights);
                Mixture { mixed, count: tokens.count }.mix(weights, panels, length, rows);
                let first = (sequence * s.seq + tokens.first) * dim;
                let range = first..first + tokens.count * dim;
                // SAFETY: the tokens of the tasks are disjoint.
                add_rows(&residual[range.clone()], rows, dim, unsafe { out.part(range) });
            }
        });
    });
    Ok(())
}

vectorized! {
    /// `out = residual + rows`, the rows padded.
    fn add_rows(residual: &[f32], rows: &[f32], dim: usize, out: &mut [f32]) {
        let rows = rows.chunks_exact(dim.next_multiple_of(16));
        let outs = residual.chunks_exact(dim).zip(out.chunks_exact_mut(dim));
        for ((residual, out), row) in outs.zip(rows) {
            for ((out, residual), x) in out.iter_mut().zip(residual).zip(row) {
                *out = residual + x;
            }
        }
    }
}

pub fn backward(
    device: DeviceId,
    args: &LatentAttentionLinearBackward<'_>,
    ropes: &mut Ropes,
    partials: &mut Partials,
) -> Result<()> {
    const OP: &str = "latent_attention_linear_backward";
    let s = args.shape;
    let (q, kv) = (read::<f32>(device, OP, args.q)?, read::<f32>(device, OP, args.kv)?);
    let weight = read::<f32>(device, OP, args.weight)?;
    let d_out = read::<f32>(device, OP, args.d_out)?;
    let d_q = args.d_q.map(|d_q| write::<f32>(device, OP, d_q)).transpose()?.map(Shared::new);
    let store = if args.accumulate_q { Store::Add } else { Store::Overwrite };
    let d_kv = Shared::new(write::<f32>(device, OP, args.d_kv)?);
    let turns = &turns(&s, ropes);
    let attention = Attention { shape: &s, turns, q, kv };
    let (dim, mixed) = (s.width(), mixed(&s));
    let length = padded(dim);
    let (all, keys_len) = (s.batch * mixed * dim, attention.keys_len());
    let sums_len = keys_len + mixed * length;
    let mut memory = partials.floats(2 * all + tasks(&s) * sums_len);
    let (values, d_values) = (take(&mut memory, all), take(&mut memory, all));
    let projection = Projection { shape: s, kv, weight };
    projection.values(values);
    let values = &*values;
    let (queries_len, weights_len) = (attention.queries_len(), attention.weights_len());
    let own = keys_len + queries_len + 2 * weights_len + 2 * BLOCK * length;
    for_each(memory.chunks_exact_mut(sums_len).enumerate(), |(task, sums)| {
        sums.fill(0.0);
        let (d_keys, d_values) = sums.split_at_mut(keys_len);
        with_local(own, |mut memory| {
            let memory = &mut memory;
            let (keys, queries) = (take(memory, keys_len), take(memory, queries_len));
            let (weights, d_weights) = (take(memory, weights_len), take(memory, weights_len));
            let (rows, panels) = (take(memory, BLOCK * length), take(memory, BLOCK * length));
            let (sequence, blocks) = blocks(&s, task);
            let values = &values[sequence * mixed * dim..][..mixed * dim];
            attention.load_keys(sequence, keys);
            for tokens in blocks {
                attention.weigh(&tokens, keys, queries, panels, weights);
                let first = (sequence * s.seq + tokens.first) * dim;
                pad_rows(&d_out[first..first + tokens.count * dim], dim, rows);
                rows_to_panels(rows, length, panels);
                let mixture = Mixture { mixed, count: tokens.count };
                mixture.weights_gradient((values, dim, dim), panels, d_weights, Store::Overwrite);
                mixture.rows_gradient(weights, (rows, length), (d_values, length));
                let d_q = d_q.map(|d_q| (d_q, store));
                let work = (&mut *panels, &mut *d_keys);
                let known = (&*keys, &*queries, &*weights);
                // SAFETY: the tokens of the tasks are disjoint.
                unsafe { attention.scores_gradient(&tokens, known, d_weights, d_q, work) };
            }
        });
    });
    let sums = &*memory;
    for_each(d_values.chunks_exact_mut(mixed * dim).enumerate(), |(sequence, d_values)| {
        with_local(sums_len, |total| {
            total.fill(0.0);
            let of = sequence * chunks(&s) * sums_len..(sequence + 1) * chunks(&s) * sums_len;
            sums[of].chunks_exact(sums_len).for_each(|sums| axpy(1.0, sums, total));
            let (d_keys, rows) = total.split_at(keys_len);
            for (to, row) in d_values.chunks_exact_mut(dim).zip(rows.chunks_exact(length)) {
                to.copy_from_slice(&row[..dim]);
            }
            // SAFETY: each task writes its own sequence.
            unsafe { attention.store_keys(sequence, d_keys, d_kv) };
        });
    });
    projection.values_gradient(d_values, d_kv);
    if let Some(d_weight) = args.d_weight {
        projection.weight_gradient(d_values, write::<f32>(device, OP, d_weight)?);
    }
    Ok(())
}

/// Rows of length `dim`, padded with zeros; zero beyond them.
fn pad_rows(from: &[f32], dim: usize, rows: &mut [f32]) {
    let count = from.len() / dim;
    for (to, from) in rows.chunks_exact_mut(padded(dim)).zip(from.chunks_exact(dim)) {
        to[..dim].copy_from_slice(from);
        to[dim..].fill(0.0);
    }
    rows[count * padded(dim)..].fill(0.0);
}
