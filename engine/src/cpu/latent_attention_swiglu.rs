//! Attention to a handful of latents, and the first half of the feed-forward block behind it.
//!
//! A row of the stream is `x = residual + sum(p v)` with the weights `p` of the few rows `v` of
//! its sequence's latents, and the norm multiplies it by `inv` and the gain `g`. So its product
//! with the weights `W` of gate and up is `inv * (base * rms + sum(p u))`, where `u = W (g * v)`
//! is computed once a latent and head, and `rms`, that of the residual, takes the norm out of
//! `base`. Backward, the products of the rows with `W` likewise become those with `u`.

mod backward;

use super::head::padded;
use super::latent_attention::{BLOCK, Turns, turns};
use super::latent_values::{Projection, mixed};
use super::latent_weights::{Attention, Mixture, blocks, row_panels, take, tasks};
use super::math::{dot, sigmoid};
use super::matmul::{Mat, Out, Store, par_matmul};
use super::memory::{read, write};
use super::parallel::Shared;
use super::pool::for_each;
use super::ropes::Ropes;
use super::scratch::{Partials, with_local};
use crate::ops::{
    LatentAttentionSwigluForward, LatentAttentionSwigluInputs, LatentAttentionSwigluShape,
};
use crate::{DeviceId, Result};

pub use backward::{backward, scratch_bytes as latent_attention_swiglu_scratch_bytes};

/// Columns of gate, or of up, that are worked on at a time.
const STRIP: usize = 512;

/// What both passes read.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    shape: LatentAttentionSwigluShape,
    q: &'a [f32],
    kv: &'a [f32],
    weight: &'a [f32],
    residual: &'a [f32],
    gain: &'a [f32],
    gate_up_weight: &'a [f32],
    base: &'a [f32],
}

impl<'a> Inputs<'a> {
    fn read(
        device: DeviceId,
        op: &'static str,
        inputs: &LatentAttentionSwigluInputs<'a>,
        shape: LatentAttentionSwigluShape,
    ) -> Result<Self> {
        Ok(Self {
            shape,
            q: read(device, op, inputs.q)?,
            kv: read(device, op, inputs.kv)?,
            weight: read(device, op, inputs.weight)?,
            residual: read(device, op, inputs.residual)?,
            gain: read(device, op, inputs.gain)?,
            gate_up_weight: read(device, op, inputs.gate_up_weight)?,
            base: read(device, op, inputs.base)?,
        })
    }

    fn attention<'t>(&'t self, turns: &'t Turns<'t>) -> Attention<'t> {
        Attention { shape: &self.shape.attention, turns, q: self.q, kv: self.kv }
    }

    fn projection(&self) -> Projection<'a> {
        Projection { shape: self.shape.attention, kv: self.kv, weight: self.weight }
    }

    /// Rows of all sequences' latents.
    fn mixed_rows(&self) -> usize {
        self.shape.attention.batch * mixed(&self.shape.attention)
    }

    /// Numbers of [`Inputs::carry`]: twice the values, and what becomes of them.
    fn carried_len(&self) -> usize {
        self.mixed_rows() * (2 * self.shape.attention.width() + 2 * self.shape.width)
    }

    /// The values of the latents behind the projection, `[mixed_rows, dim]`, the same times the
    /// gain, and behind gate and up, `[mixed_rows, 2 * width]`.
    fn carry<'m>(&self, memory: &'m mut [f32]) -> [&'m [f32]; 3] {
        let (rows, dim, width) = (self.mixed_rows(), self.gain.len(), self.shape.width);
        let (values, rest) = memory.split_at_mut(rows * dim);
        let (scaled, gate_up) = rest.split_at_mut(rows * dim);
        self.projection().values(values);
        for (to, from) in scaled.chunks_exact_mut(dim).zip(values.chunks_exact(dim)) {
            to.iter_mut().zip(from).zip(self.gain).for_each(|((to, v), g)| *to = v * g);
        }
        let weight = Mat::new(self.gate_up_weight, 2 * width, dim);
        let out = Out::new(gate_up, rows, 2 * width);
        par_matmul(&out, Mat::new(scaled, rows, dim), weight.t(), Store::Overwrite, None);
        [values, scaled, gate_up]
    }

    /// The root mean square by which the norm divided a row of the residual.
    fn rms(&self, residual: &[f32]) -> f32 {
        root_mean_square(residual, self.shape.eps)
    }

    /// Pieces of gate, then of up: where they begin and how many columns they have.
    fn strips(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let width = self.shape.width;
        (0..width).step_by(STRIP).map(move |first| (first, STRIP.min(width - first)))
    }
}

vectorized! {
    fn root_mean_square(x: &[f32], eps: f32) -> f32 {
        (dot(x, x) / x.len() as f32 + eps).sqrt()
    }
}

pub fn forward(
    device: DeviceId,
    args: &LatentAttentionSwigluForward<'_>,
    ropes: &mut Ropes,
    partials: &mut Partials,
) -> Result<()> {
    const OP: &str = "latent_attention_swiglu_forward";
    let inputs = &Inputs::read(device, OP, &args.inputs, args.shape)?;
    let out = Shared::new(write::<f32>(device, OP, args.out)?);
    let inv_rms = Shared::new(write::<f32>(device, OP, args.inv_rms)?);
    let gate_up = Shared::new(write::<f32>(device, OP, args.gate_up)?);
    let hidden = Shared::new(write::<f32>(device, OP, args.hidden)?);
    let (s, width, eps) = (args.shape.attention, args.shape.width, args.shape.eps);
    let turns = &turns(&s, ropes);
    let attention = inputs.attention(turns);
    let (dim, mixed) = (s.width(), mixed(&s));
    let (length, half) = (padded(dim), mixed * padded(width));
    let [values, _, carried] = inputs.carry(partials.floats(inputs.carried_len()));
    let (keys_len, queries_len) = (attention.keys_len(), attention.queries_len());
    let (weights_len, area) = (attention.weights_len(), BLOCK * length.max(2 * STRIP));
    let own = keys_len + mixed * length + 2 * half + queries_len + weights_len + area;
    for_each(0..tasks(&s), |task| {
        with_local(own, |mut memory| {
            let memory = &mut memory;
            let (keys, panels) = (take(memory, keys_len), take(memory, mixed * length));
            let (gates, ups) = (take(memory, half), take(memory, half));
            let (queries, weights) = (take(memory, queries_len), take(memory, weights_len));
            let rows = take(memory, area);
            let (sequence, blocks) = blocks(&s, task);
            attention.load_keys(sequence, keys);
            row_panels(&values[sequence * mixed * dim..], (dim, dim), panels);
            let carried = &carried[sequence * mixed * 2 * width..];
            row_panels(carried, (width, 2 * width), gates);
            row_panels(&carried[width..], (width, 2 * width), ups);
            for tokens in blocks {
                attention.weigh(&tokens, keys, queries, rows, weights);
                let mixture = Mixture { mixed, count: tokens.count };
                mixture.mix(weights, panels, length, rows);
                let first = sequence * s.seq + tokens.first;
                let tokens = first..first + tokens.count;
                let mut scales = [[0.0; 2]; BLOCK];
                for ((token, row), scales) in
                    tokens.clone().zip(rows.chunks_exact(length)).zip(&mut scales)
                {
                    let at = token * dim..(token + 1) * dim;
                    let residual = &inputs.residual[at.clone()];
                    // SAFETY: the tokens of the tasks are disjoint.
                    let (out, inv) = unsafe { (out.part(at), inv_rms.part(token..token + 1)) };
                    out.iter_mut().zip(residual).zip(row).for_each(|((o, r), x)| *o = r + x);
                    inv[0] = 1.0 / root_mean_square(out, eps);
                    *scales = [inv[0], inputs.rms(residual)];
                }
                for (start, columns) in inputs.strips() {
                    let size = padded(columns);
                    let (gate_rows, up_rows) = rows.split_at_mut(BLOCK * STRIP);
                    mixture.mix(weights, &gates[start * mixed..][..size * mixed], size, gate_rows);
                    mixture.mix(weights, &ups[start * mixed..][..size * mixed], size, up_rows);
                    let mixtures = gate_rows.chunks_exact(size).zip(up_rows.chunks_exact(size));
                    for ((token, mixture), scales) in tokens.clone().zip(mixtures).zip(scales) {
                        let gate = 2 * token * width + start;
                        let [gate, up] = [gate, gate + width].map(|at| at..at + columns);
                        let base = (&inputs.base[gate.clone()], &inputs.base[up.clone()]);
                        let act = token * width + start;
                        // SAFETY: as above.
                        let outs = unsafe {
                            let hidden = hidden.part(act..act + columns);
                            (gate_up.part(gate), gate_up.part(up), hidden)
                        };
                        gated(base, mixture, scales, outs);
                    }
                }
            }
        });
    });
    Ok(())
}

/// A piece of gate and up, and their gated product. In three loops: with as many slices in one,
/// the compiler gives up proving that they are apart.
fn gated(
    base: (&[f32], &[f32]),
    mixture: (&[f32], &[f32]),
    scales: [f32; 2],
    (gate, up, hidden): (&mut [f32], &mut [f32], &mut [f32]),
) {
    normalised(base.0, mixture.0, scales, gate);
    normalised(base.1, mixture.1, scales, up);
    gate_by(gate, up, hidden);
}

vectorized! {
    fn normalised(base: &[f32], mixture: &[f32], scales: [f32; 2], out: &mut [f32]) {
        let [inv, rms] = scales;
        for ((out, base), x) in out.iter_mut().zip(base).zip(mixture) {
            *out = inv * (base * rms + x);
        }
    }
}

vectorized! {
    fn gate_by(gate: &[f32], up: &[f32], hidden: &mut [f32]) {
        for ((hidden, &g), &u) in hidden.iter_mut().zip(gate).zip(up) {
            *hidden = g * sigmoid(g) * u;
        }
    }
}
