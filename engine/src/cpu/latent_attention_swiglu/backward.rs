//! Gradients of latent attention and the half block behind it.

use super::{Inputs, STRIP};
use crate::cpu::head::{padded, rows_to_panels};
use crate::cpu::latent_attention::{BLOCK, Tokens, latent_numbers, turns};
use crate::cpu::latent_values::mixed;
use crate::cpu::latent_weights::{Attention, Mixture, blocks, chunks, take, tasks};
use crate::cpu::math::{axpy, dot};
use crate::cpu::matmul::{Mat, Out, Store, par_matmul};
use crate::cpu::memory::{read, write};
use crate::cpu::parallel::Shared;
use crate::cpu::pool::for_each;
use crate::cpu::ropes::Ropes;
use crate::cpu::scratch::{Partials, with_local};
use crate::ops::{LatentAttentionSwigluBackward, LatentAttentionSwigluShape};
use crate::{DeviceId, Result};

/// Numbers of the sums of a task: gradients of keys, of the values behind the projection, and of
/// these behind gate and up, in two halves.
#[derive(Clone, Copy)]
struct Sums {
    keys: usize,
    values: usize,
    half: usize,
}

impl Sums {
    fn of(shape: &LatentAttentionSwigluShape) -> Self {
        let (s, mixed) = (&shape.attention, mixed(&shape.attention));
        let values = mixed * padded(s.width());
        Self { keys: s.heads * latent_numbers(s), values, half: mixed * padded(shape.width) }
    }

    fn len(self) -> usize {
        self.keys + self.values + 2 * self.half
    }
}

/// Bytes of work memory that the backward pass takes beside its arguments: what becomes of the
/// latents' values, and the gradients of it from each task. The device keeps it for later calls.
pub fn scratch_bytes(shape: &LatentAttentionSwigluShape) -> usize {
    let rows = shape.attention.batch * mixed(&shape.attention);
    let carried = rows * (2 * shape.attention.width() + 2 * shape.width);
    (2 * carried + tasks(&shape.attention) * Sums::of(shape).len()) * size_of::<f32>()
}

/// What a token's row of the stream and the mixture have to do with their gradients.
struct Rows<'a> {
    out: &'a [f32],
    inv_rms: &'a [f32],
    gate_up: &'a [f32],
    d_out: &'a [f32],
    d_gate_up: &'a [f32],
}

/// Where the gradients of what is known before z are added.
#[derive(Clone, Copy)]
struct Known<'a> {
    d_residual: Shared<'a, f32>,
    d_base: Shared<'a, f32>,
}

pub fn backward(
    device: DeviceId,
    args: &LatentAttentionSwigluBackward<'_>,
    ropes: &mut Ropes,
    partials: &mut Partials,
) -> Result<()> {
    const OP: &str = "latent_attention_swiglu_backward";
    let inputs = &Inputs::read(device, OP, &args.inputs, args.shape)?;
    let rows = &Rows {
        out: read(device, OP, args.out)?,
        inv_rms: read(device, OP, args.inv_rms)?,
        gate_up: read(device, OP, args.gate_up)?,
        d_out: read(device, OP, args.d_out)?,
        d_gate_up: read(device, OP, args.d_gate_up)?,
    };
    let d_q = args.d_q.map(|d_q| write::<f32>(device, OP, d_q)).transpose()?.map(Shared::new);
    let store = if args.accumulate_q { Store::Add } else { Store::Overwrite };
    let d_q = d_q.map(|d_q| (d_q, store));
    let d_kv = Shared::new(write::<f32>(device, OP, args.d_kv)?);
    let known = match args.weights {
        None => None,
        Some(w) => Some(Known {
            d_residual: Shared::new(write(device, OP, w.d_residual)?),
            d_base: Shared::new(write(device, OP, w.d_base)?),
        }),
    };
    let (s, width) = (args.shape.attention, args.shape.width);
    let (dim, sums_len) = (s.width(), Sums::of(&args.shape).len());
    let turns = &turns(&s, ropes);
    let attention = inputs.attention(turns);
    let (all, carried_len) = (inputs.mixed_rows(), inputs.carried_len());
    let mut memory = partials.floats(2 * carried_len + tasks(&s) * sums_len);
    let carried = inputs.carry(take(&mut memory, carried_len));
    let [d_values, d_scaled] = [0; 2].map(|_| take(&mut memory, all * dim));
    let d_carried = take(&mut memory, all * 2 * width);
    for_each(memory.chunks_exact_mut(sums_len).enumerate(), |(task, sums)| {
        // SAFETY: the tokens of the tasks are disjoint.
        unsafe { task_sums(inputs, &attention, (carried, rows), task, (d_q, known), sums) };
    });
    let sums = &*memory;
    add_tasks(&attention, &args.shape, sums, (&mut *d_values, &mut *d_carried), d_kv);
    let d_gate_up = Mat::new(d_carried, all, 2 * width);
    let weight = Mat::new(inputs.gate_up_weight, 2 * width, dim);
    par_matmul(&Out::new(d_scaled, all, dim), d_gate_up, weight, Store::Overwrite, None);
    for (to, from) in d_values.chunks_exact_mut(dim).zip(d_scaled.chunks_exact(dim)) {
        to.iter_mut().zip(from).zip(inputs.gain).for_each(|((to, d), g)| *to += d * g);
    }
    inputs.projection().values_gradient(d_values, d_kv);
    let Some(w) = args.weights else { return Ok(()) };
    inputs.projection().weight_gradient(d_values, write::<f32>(device, OP, w.d_weight)?);
    let [values, scaled, _] = carried;
    let d_weight = Out::new(write(device, OP, w.d_gate_up_weight)?, 2 * width, dim);
    par_matmul(&d_weight, d_gate_up.t(), Mat::new(scaled, all, dim), Store::Add, None);
    let d_gain = write::<f32>(device, OP, w.d_gain)?;
    for (values, d) in values.chunks_exact(dim).zip(d_scaled.chunks_exact(dim)) {
        d_gain.iter_mut().zip(values.iter().zip(d)).for_each(|(to, (v, d))| *to += v * d);
    }
    Ok(())
}

/// Adds the sums of the tasks of each sequence: gradients of keys go to `d_kv`, the others to
/// rows without padding.
fn add_tasks(
    attention: &Attention<'_>,
    shape: &LatentAttentionSwigluShape,
    sums: &[f32],
    (d_values, d_carried): (&mut [f32], &mut [f32]),
    d_kv: Shared<'_, f32>,
) {
    let (s, width, sizes) = (&shape.attention, shape.width, Sums::of(shape));
    let (dim, mixed, len) = (s.width(), mixed(s), sizes.len());
    let d_values = d_values.chunks_exact_mut(mixed * dim);
    let outs = d_values.zip(d_carried.chunks_exact_mut(mixed * 2 * width));
    for_each(outs.enumerate(), |(sequence, (d_values, d_carried))| {
        with_local(len, |mut total| {
            total.fill(0.0);
            let of = sequence * chunks(s) * len..(sequence + 1) * chunks(s) * len;
            sums[of].chunks_exact(len).for_each(|sums| axpy(1.0, sums, total));
            let d_keys = take(&mut total, sizes.keys);
            // SAFETY: each task writes its own sequence.
            unsafe { attention.store_keys(sequence, d_keys, d_kv) };
            let rows = take(&mut total, sizes.values).chunks_exact(padded(dim));
            for (to, row) in d_values.chunks_exact_mut(dim).zip(rows) {
                to.copy_from_slice(&row[..dim]);
            }
            let (gates, ups) = total.split_at(sizes.half);
            let halves = gates.chunks_exact(padded(width)).zip(ups.chunks_exact(padded(width)));
            for (to, (gate, up)) in d_carried.chunks_exact_mut(2 * width).zip(halves) {
                to[..width].copy_from_slice(&gate[..width]);
                to[width..].copy_from_slice(&up[..width]);
            }
        });
    });
}

/// What the tokens of a task contribute.
///
/// # Safety
/// Nothing else may touch these tokens of `d_q` and what is in `known` at the same time.
unsafe fn task_sums(
    inputs: &Inputs<'_>,
    attention: &Attention<'_>,
    ([values, _, carried], rows): ([&[f32]; 3], &Rows<'_>),
    task: usize,
    (d_q, known): (Option<(Shared<'_, f32>, Store)>, Option<Known<'_>>),
    sums: &mut [f32],
) {
    let (s, width, sizes) = (attention.shape, inputs.shape.width, Sums::of(&inputs.shape));
    let (dim, mixed) = (s.width(), mixed(s));
    let length = padded(dim);
    sums.fill(0.0);
    let (d_keys, sums) = sums.split_at_mut(sizes.keys);
    let (d_values, d_halves) = sums.split_at_mut(sizes.values);
    let (queries_len, weights_len) = (attention.queries_len(), attention.weights_len());
    let area = BLOCK * length.max(STRIP);
    with_local(sizes.keys + queries_len + 2 * weights_len + 2 * area, |mut memory| {
        let memory = &mut memory;
        let (keys, queries) = (take(memory, sizes.keys), take(memory, queries_len));
        let (weights, d_weights) = (take(memory, weights_len), take(memory, weights_len));
        let (work, panels) = (take(memory, area), take(memory, area));
        let (sequence, blocks) = blocks(s, task);
        let values = &values[sequence * mixed * dim..][..mixed * dim];
        let carried = &carried[sequence * mixed * 2 * width..][..mixed * 2 * width];
        attention.load_keys(sequence, keys);
        let [mut norms, mut projections, mut before, mut after] = [[0.0f32; BLOCK]; 4];
        for tokens in blocks {
            attention.weigh(&tokens, keys, queries, panels, weights);
            let mixture = Mixture { mixed, count: tokens.count };
            // What reaches the rows of the stream by themselves, and by their norm.
            stream_gradient(inputs, rows, &tokens, work, &mut projections);
            if known.is_some() {
                let first = sequence * s.seq + tokens.first;
                for (token, rms) in (first..first + tokens.count).zip(&mut norms) {
                    *rms = inputs.rms(&inputs.residual[token * dim..(token + 1) * dim]);
                }
            }
            rows_to_panels(&work[..BLOCK * length], length, panels);
            mixture.weights_gradient((values, dim, dim), panels, d_weights, Store::Overwrite);
            mixture.rows_gradient(weights, (work, length), (d_values, length));
            let first = sequence * s.seq + tokens.first;
            if let Some(known) = known {
                let tokens = first * dim..(first + tokens.count) * dim;
                // SAFETY: the caller's promise.
                let d_residual = unsafe { known.d_residual.part(tokens) };
                let rows = d_residual.chunks_exact_mut(dim).zip(work.chunks_exact(length));
                rows.for_each(|(to, row)| add_scaled(1.0, &row[..dim], to));
                // What belongs to the stream, so that the rest can be told from it.
                column_sums(weights, d_weights, &mut before);
            }
            // What reaches them by the products with gate and up.
            for (half, d_half) in d_halves.chunks_exact_mut(sizes.half).enumerate() {
                for (start, columns) in inputs.strips() {
                    let (size, column) = (padded(columns), half * width + start);
                    let strip = &mut work[..BLOCK * size];
                    if tokens.count < BLOCK || columns < size {
                        strip.fill(0.0);
                    }
                    let strips = strip.chunks_exact_mut(size).take(tokens.count);
                    for ((token, row), &rms) in (first..).zip(strips).zip(&norms) {
                        let at = 2 * token * width + column;
                        let (at, row) = (at..at + columns, &mut row[..columns]);
                        scaled(rows.inv_rms[token], &rows.d_gate_up[at.clone()], row);
                        if let Some(known) = known {
                            // SAFETY: the caller's promise.
                            add_scaled(rms, row, unsafe { known.d_base.part(at) });
                        }
                    }
                    rows_to_panels(strip, size, panels);
                    let from = (&carried[column..], columns, 2 * width);
                    mixture.weights_gradient(from, panels, d_weights, Store::Add);
                    let to = (&mut d_half[start..], padded(width));
                    mixture.rows_gradient(weights, (strip, size), to);
                }
            }
            if let Some(known) = known {
                // The root mean square that takes the norm out of the base: its gradient is the
                // product of base and the gradient of what both make, of which base is all but
                // the mixture.
                column_sums(weights, d_weights, &mut after);
                let sums = after.iter().zip(&before).zip(projections.iter().zip(&norms));
                for (token, ((after, before), (projection, rms))) in
                    (first..first + tokens.count).zip(sums)
                {
                    let at = token * dim..(token + 1) * dim;
                    let d_rms = (projection - (after - before)) / rms;
                    // SAFETY: the caller's promise.
                    let to = unsafe { known.d_residual.part(at.clone()) };
                    add_scaled(d_rms / (rms * dim as f32), &inputs.residual[at], to);
                }
            }
            let (known, d) = ((&*keys, &*queries, &*weights), (&mut *panels, &mut *d_keys));
            // SAFETY: the caller's promise.
            unsafe { attention.scores_gradient(&tokens, known, d_weights, d_q, d) };
        }
    });
}

/// The gradient of a block of rows of the stream, padded, without what reaches them by their
/// product with gate and up: `d_out - x inv^2 p / dim` with the projections
/// `p = <d_gate_up, gate_up>`.
fn stream_gradient(
    inputs: &Inputs<'_>,
    rows: &Rows<'_>,
    tokens: &Tokens,
    to: &mut [f32],
    projections: &mut [f32; BLOCK],
) {
    let (s, width) = (&inputs.shape.attention, 2 * inputs.shape.width);
    let (dim, first) = (s.width(), tokens.sequence * s.seq + tokens.first);
    let (used, rest) = to.split_at_mut(tokens.count * padded(dim));
    let used = used.chunks_exact_mut(padded(dim)).zip(projections);
    for (token, (to, projection)) in (first..).zip(used) {
        let (row, wide) = (token * dim..(token + 1) * dim, token * width..(token + 1) * width);
        *projection = inner(&rows.d_gate_up[wide.clone()], &rows.gate_up[wide]);
        let inv = rows.inv_rms[token];
        let (to, padding) = to.split_at_mut(dim);
        to.copy_from_slice(&rows.d_out[row.clone()]);
        add_scaled(-*projection * inv * inv / dim as f32, &rows.out[row], to);
        padding.fill(0.0);
    }
    rest.fill(0.0);
}

vectorized! {
    /// `sum(p * d)` of every column of `[mixed, BLOCK]`.
    fn column_sums(weights: &[f32], d_weights: &[f32], sums: &mut [f32; BLOCK]) {
        sums.fill(0.0);
        for (p, d) in weights.chunks_exact(BLOCK).zip(d_weights.chunks_exact(BLOCK)) {
            for ((sum, p), d) in sums.iter_mut().zip(p).zip(d) {
                *sum += p * d;
            }
        }
    }
}

vectorized! {
    fn inner(a: &[f32], b: &[f32]) -> f32 {
        dot(a, b)
    }
}

vectorized! {
    fn scaled(a: f32, x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = a * x;
        }
    }
}

vectorized! {
    fn add_scaled(a: f32, x: &[f32], out: &mut [f32]) {
        axpy(a, x, out);
    }
}
