//! Attention to a handful of latents: a block of tokens per task, all heads.

use rayon::prelude::*;

use super::math::{axpy, dot, exp};
use super::memory::{read, write};
use super::parallel::Shared;
use super::ropes::Ropes;
use super::scratch::{Partials, with_local};
use crate::ops::{
    LatentAttentionBackward, LatentAttentionForward, LatentAttentionShape, MAX_LATENTS,
};
use crate::rope::{RopeTable, rotate, rotate_back};
use crate::{DeviceId, Result};

/// Tokens per task.
const BLOCK: usize = 64;

/// Bytes of work memory that the backward pass takes beside its arguments: the gradients of keys
/// and values from each block of tokens. The device keeps it for later calls.
pub fn latent_attention_scratch_bytes(shape: &LatentAttentionShape) -> usize {
    partial_sums(shape) * size_of::<f32>()
}

fn partial_sums(s: &LatentAttentionShape) -> usize {
    s.batch * s.seq.div_ceil(BLOCK) * 2 * s.latents * s.width()
}

/// Rotary tables of tokens and latents.
struct Tables<'a> {
    tokens: &'a RopeTable,
    latents: Option<&'a RopeTable>,
}

fn tables<'a>(shape: &LatentAttentionShape, ropes: &'a mut Ropes) -> Tables<'a> {
    let rows = shape.first_position + shape.seq;
    let tokens = ropes.prepare(shape.head_dim, shape.theta, 1, rows);
    let latents = shape
        .latent_stride
        .map(|stride| ropes.prepare(shape.head_dim, shape.theta, stride, shape.latents));
    let ropes = &*ropes;
    Tables { tokens: ropes.table(tokens), latents: latents.map(|i| ropes.table(i)) }
}

vectorized! {
    /// Rotated keys of one sequence as `[heads, latents, head_dim]`, and values likewise.
    fn load(
        kv: &[f32],
        tables: &Tables<'_>,
        shape: &LatentAttentionShape,
        keys: &mut [f32],
        values: &mut [f32],
    ) {
        let (d, width) = (shape.head_dim, shape.width());
        for head in 0..shape.heads {
            for m in 0..shape.latents {
                let from = m * 2 * width + head * d;
                let to = (head * shape.latents + m) * d;
                let key = &kv[from..from + d];
                match tables.latents {
                    Some(table) => rotate(key, &mut keys[to..to + d], table.row(m), 1.0),
                    None => keys[to..to + d].copy_from_slice(key),
                }
                values[to..to + d].copy_from_slice(&kv[from + width..from + width + d]);
            }
        }
    }
}

/// Attention weights of one rotated, scaled query over the latents of its head.
#[inline(always)]
fn weights_of(q: &[f32], keys: &[f32], weights: &mut [f32]) {
    let mut top = f32::NEG_INFINITY;
    for (w, key) in weights.iter_mut().zip(keys.chunks_exact(q.len())) {
        *w = dot(q, key);
        top = top.max(*w);
    }
    let mut sum = 0.0;
    for w in weights.iter_mut() {
        *w = exp(*w - top);
        sum += *w;
    }
    let inverse = 1.0 / sum;
    weights.iter_mut().for_each(|w| *w *= inverse);
}

vectorized! {
    /// Tokens `first..` of one sequence: `q` and `out` hold their rows.
    fn attend(
        q: &[f32],
        out: &mut [f32],
        first: usize,
        tables: &Tables<'_>,
        shape: &LatentAttentionShape,
        keys: &[f32],
        values: &[f32],
        rotated: &mut [f32],
    ) {
        let (d, m) = (shape.head_dim, shape.latents);
        let scale = 1.0 / (d as f32).sqrt();
        let mut weights = [0.0f32; MAX_LATENTS];
        let weights = &mut weights[..m];
        let tokens = q.chunks_exact(shape.width()).zip(out.chunks_exact_mut(shape.width()));
        for (t, (q, out)) in tokens.enumerate() {
            let angles = tables.tokens.row(shape.first_position + first + t);
            for head in 0..shape.heads {
                let part = head * d..(head + 1) * d;
                let latents = head * m * d..(head + 1) * m * d;
                rotate(&q[part.clone()], rotated, angles, scale);
                weights_of(rotated, &keys[latents.clone()], weights);
                let out = &mut out[part];
                out.fill(0.0);
                for (w, value) in weights.iter().zip(values[latents].chunks_exact(d)) {
                    axpy(*w, value, out);
                }
            }
        }
    }
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
    let tables = tables(&s, ropes);
    let (width, size) = (s.width(), s.latents * s.width());
    let blocks = s.seq.div_ceil(BLOCK);
    (0..s.batch * blocks).into_par_iter().for_each(|task| {
        let (sequence, first) = (task / blocks, task % blocks * BLOCK);
        let count = BLOCK.min(s.seq - first);
        let at = (sequence * s.seq + first) * width;
        // SAFETY: the token blocks of the tasks are disjoint.
        let out = unsafe { out.part(at..at + count * width) };
        with_local(2 * size + s.head_dim, |memory| {
            let (keys, memory) = memory.split_at_mut(size);
            let (values, rotated) = memory.split_at_mut(size);
            load(&kv[sequence * 2 * size..], &tables, &s, keys, values);
            let q = &q[at..at + count * width];
            attend(q, out, first, &tables, &s, keys, values, rotated);
        });
    });
    Ok(())
}

/// Where the gradients of a block of tokens go.
struct Gradients<'a> {
    d_q: Option<&'a mut [f32]>,
    accumulate_q: bool,
    /// `[heads, latents, head_dim]`, keys still rotated.
    d_keys: &'a mut [f32],
    d_values: &'a mut [f32],
}

vectorized! {
    fn attend_gradient(
        q: &[f32],
        d_out: &[f32],
        first: usize,
        tables: &Tables<'_>,
        shape: &LatentAttentionShape,
        keys: &[f32],
        values: &[f32],
        scratch: &mut [f32],
        to: Gradients<'_>,
    ) {
        let (d, m, width) = (shape.head_dim, shape.latents, shape.width());
        let scale = 1.0 / (d as f32).sqrt();
        let (rotated, scratch) = scratch.split_at_mut(d);
        let (d_rotated, back) = scratch.split_at_mut(d);
        let (mut weights, mut d_weights) = ([0.0f32; MAX_LATENTS], [0.0f32; MAX_LATENTS]);
        let (weights, d_weights) = (&mut weights[..m], &mut d_weights[..m]);
        let Gradients { mut d_q, accumulate_q, d_keys, d_values } = to;
        d_keys.fill(0.0);
        d_values.fill(0.0);
        for (t, (q, d_out)) in q.chunks_exact(width).zip(d_out.chunks_exact(width)).enumerate() {
            let angles = tables.tokens.row(shape.first_position + first + t);
            for head in 0..shape.heads {
                let part = head * d..(head + 1) * d;
                let latents = head * m * d..(head + 1) * m * d;
                let d_out = &d_out[part.clone()];
                rotate(&q[part.clone()], rotated, angles, scale);
                weights_of(rotated, &keys[latents.clone()], weights);
                let mut mean = 0.0;
                let head_values = values[latents.clone()].chunks_exact(d);
                for ((w, d_w), value) in weights.iter().zip(d_weights.iter_mut()).zip(head_values)
                {
                    *d_w = dot(d_out, value);
                    mean += w * *d_w;
                }
                d_rotated.fill(0.0);
                for j in 0..m {
                    let at = latents.start + j * d..latents.start + (j + 1) * d;
                    let d_score = weights[j] * (d_weights[j] - mean);
                    axpy(d_score, &keys[at.clone()], d_rotated);
                    axpy(d_score, rotated, &mut d_keys[at.clone()]);
                    axpy(weights[j], d_out, &mut d_values[at]);
                }
                if let Some(d_q) = d_q.as_deref_mut() {
                    let d_q = &mut d_q[t * width + part.start..t * width + part.end];
                    rotate_back(d_rotated, back, angles, scale);
                    if accumulate_q {
                        axpy(1.0, back, d_q);
                    } else {
                        d_q.copy_from_slice(back);
                    }
                }
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
    let q = read::<f32>(device, OP, args.q)?;
    let kv = read::<f32>(device, OP, args.kv)?;
    let d_out = read::<f32>(device, OP, args.d_out)?;
    let d_q = args.d_q.map(|d_q| write::<f32>(device, OP, d_q)).transpose()?.map(Shared::new);
    let d_kv = write::<f32>(device, OP, args.d_kv)?;
    let tables = tables(&s, ropes);
    let (d, width, size) = (s.head_dim, s.width(), s.latents * s.width());
    let blocks = s.seq.div_ceil(BLOCK);
    let sums = partials.floats(partial_sums(&s));
    sums.par_chunks_exact_mut(2 * size).enumerate().for_each(|(task, sum)| {
        let (sequence, first) = (task / blocks, task % blocks * BLOCK);
        let count = BLOCK.min(s.seq - first);
        let at = (sequence * s.seq + first) * width;
        let rows = at..at + count * width;
        // SAFETY: the token blocks of the tasks are disjoint.
        let d_q = d_q.map(|d_q| unsafe { d_q.part(rows.clone()) });
        let (d_keys, d_values) = sum.split_at_mut(size);
        let to = Gradients { d_q, accumulate_q: args.accumulate_q, d_keys, d_values };
        with_local(2 * size + 3 * d, |memory| {
            let (keys, memory) = memory.split_at_mut(size);
            let (values, scratch) = memory.split_at_mut(size);
            load(&kv[sequence * 2 * size..], &tables, &s, keys, values);
            let (q, d_out) = (&q[rows.clone()], &d_out[rows]);
            attend_gradient(q, d_out, first, &tables, &s, keys, values, scratch, to);
        });
    });
    let sums = &*sums;
    d_kv.par_chunks_exact_mut(2 * size).enumerate().for_each(|(sequence, d_kv)| {
        with_local(2 * size, |total| {
            total.fill(0.0);
            let first = sequence * blocks * 2 * size;
            for sum in sums[first..first + blocks * 2 * size].chunks_exact(2 * size) {
                axpy(1.0, sum, total);
            }
            store(total, &tables, &s, d_kv);
        });
    });
    Ok(())
}

/// Turns the key gradients back and puts keys and values where the packed layout has them.
fn store(
    total: &[f32],
    tables: &Tables<'_>,
    shape: &LatentAttentionShape,
    d_kv: &mut [f32],
) {
    let (d, width) = (shape.head_dim, shape.width());
    let (d_keys, d_values) = total.split_at(shape.latents * width);
    for head in 0..shape.heads {
        for m in 0..shape.latents {
            let from = (head * shape.latents + m) * d;
            let to = m * 2 * width + head * d;
            let key = &d_keys[from..from + d];
            match tables.latents {
                Some(table) => rotate_back(key, &mut d_kv[to..to + d], table.row(m), 1.0),
                None => d_kv[to..to + d].copy_from_slice(key),
            }
            d_kv[to + width..to + width + d].copy_from_slice(&d_values[from..from + d]);
        }
    }
}
