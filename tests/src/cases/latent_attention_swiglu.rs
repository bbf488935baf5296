//! Attention of tokens to latents and the first half of the feed-forward block behind it.

use ltm_engine::ops::{
    LatentAttentionSwigluBackward, LatentAttentionSwigluForward, LatentAttentionSwigluInputs,
    LatentAttentionSwigluShape as Shape, LatentAttentionSwigluWeights,
};
use ltm_engine::{Buffer, Device, Result};

use super::accumulated;
use super::latent_attention::{Queries, elements, kv, kv_elements, q};
use super::latent_attention_linear::weight;
use crate::numbers::normals;
use crate::reference::{dot, latent_attention, linear, rms_norm, swiglu};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// Sums over the width, whose error the activation and the norm multiply by numbers that are sums
/// themselves.
const FORWARD_ROUNDINGS: f64 = 256.0;
/// The same over the hidden features.
const BACKWARD_ROUNDINGS: f64 = 1024.0;

/// `latent_attention_swiglu_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Extents.
    pub shape: Shape,
}

/// `latent_attention_swiglu_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Extents.
    pub shape: Shape,
    /// What happens to the gradient of the queries.
    pub queries: Queries,
    /// Whether the gradients of the weights are computed.
    pub weights: bool,
}

printed!(Forward, Backward);

const INPUTS: [&str; 7] = ["q", "kv", "weight", "residual", "gain", "gate_up_weight", "base"];

fn inputs(s: &Shape) -> [Vec<f32>; 7] {
    let (a, width) = (&s.attention, s.width);
    let scale = 2.0 / (a.width().max(1) as f32).sqrt();
    let gain = normals(8, a.width()).into_iter().map(|x| 1.0 + 0.3 * x).collect();
    let gate_up = normals(9, 2 * width * a.width()).into_iter().map(|x| scale * x).collect();
    let base = normals(10, 2 * a.rows() * width);
    [q(a), kv(a), weight(a), normals(6, elements(a)), gain, gate_up, base]
}

fn input_args(s: &Shape, format: Format) -> Vec<Arg> {
    INPUTS.into_iter().zip(inputs(s)).map(|(name, x)| format.input(name, x)).collect()
}

fn buffers(b: &[Buffer]) -> LatentAttentionSwigluInputs<'_> {
    LatentAttentionSwigluInputs {
        q: &b[0],
        kv: &b[1],
        weight: &b[2],
        residual: &b[3],
        gain: &b[4],
        gate_up_weight: &b[5],
        base: &b[6],
    }
}

/// What a forward pass makes.
struct Pass {
    mixed: Vec<f64>,
    projected: Vec<f64>,
    out: Vec<f64>,
    inv_rms: Vec<f64>,
    /// Root mean squares of the residual.
    rms: Vec<f64>,
    gate_up: Vec<f64>,
}

impl Pass {
    /// From the seven inputs, in order.
    fn new(at: &[Vec<f64>], s: &Shape, rounding: Rounding) -> Self {
        let [q, kv, weight, residual, gain, gate_up, base] = at else {
            panic!("{} inputs", at.len())
        };
        let (dim, eps) = (s.attention.width(), f64::from(s.eps));
        let mixed = latent_attention::forward(q, kv, &s.attention, rounding);
        let projected = linear::forward(&mixed, weight, dim);
        let out = accumulated(projected.clone(), residual);
        let (_, inv_rms) = rms_norm::forward(&out, gain, eps);
        let (_, inverse) = rms_norm::forward(residual, gain, eps);
        let rms: Vec<f64> = inverse.into_iter().map(|x| 1.0 / x).collect();
        let scaled = scaled(&projected, gain);
        let mut product = linear::forward(&scaled, gate_up, dim);
        for (i, x) in product.iter_mut().enumerate() {
            let row = i / (2 * s.width);
            *x = inv_rms[row] * (rms[row] * base[i] + *x);
        }
        Self { mixed, projected, out, inv_rms, rms, gate_up: product }
    }
}

/// Rows times the gain.
fn scaled(rows: &[f64], gain: &[f64]) -> Vec<f64> {
    rows.iter().enumerate().map(|(i, x)| x * gain[i % gain.len()]).collect()
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "latent_attention_swiglu_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let (s, rows) = (&self.shape, self.shape.attention.rows());
        let mut args = input_args(s, format);
        args.extend([
            format.overwritten("out", elements(&s.attention)),
            Arg::overwritten("inv_rms", rows),
            format.overwritten("gate_up", 2 * rows * s.width),
            format.overwritten("hidden", rows * s.width),
        ]);
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.latent_attention_swiglu_forward(&LatentAttentionSwigluForward {
            inputs: buffers(b),
            out: &b[7],
            inv_rms: &b[8],
            gate_up: &b[9],
            hidden: &b[10],
            shape: self.shape,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let pass = Pass::new(&INPUTS.map(|name| inputs.numbers(name)), &self.shape, rounding);
        let hidden = swiglu::forward(&pass.gate_up, self.shape.width, rounding);
        [pass.out, pass.inv_rms, pass.gate_up, hidden]
            .into_iter()
            .map(|values| Expected::new(values, FORWARD_ROUNDINGS))
            .collect()
    }
}

impl Backward {
    /// Gradients of the seven inputs.
    fn gradients(&self, at: &[Vec<f64>], d_out: &[f64], d_gate_up: &[f64]) -> Vec<Vec<f64>> {
        let (s, exact) = (&self.shape, Rounding::Exact);
        let (dim, wide) = (s.attention.width(), 2 * s.width);
        let pass = Pass::new(at, s, exact);
        let [q, kv, weight, residual, gain, gate_up, base] = at else {
            panic!("{} inputs", at.len())
        };
        let (mut d_sum, mut d_base) = (d_gate_up.to_vec(), Vec::new());
        let (mut d_stream, mut d_residual) = (d_out.to_vec(), Vec::new());
        for row in 0..s.attention.rows() {
            let (inv, rms) = (pass.inv_rms[row], pass.rms[row]);
            let (narrow, wide) = (row * dim..(row + 1) * dim, row * wide..(row + 1) * wide);
            let mean = dot(&d_gate_up[wide.clone()], &pass.gate_up[wide.clone()]) / dim as f64;
            d_sum[wide.clone()].iter_mut().for_each(|x| *x *= inv);
            let d_rms = dot(&d_sum[wide.clone()], &base[wide.clone()]) / (rms * dim as f64);
            d_base.extend(d_sum[wide].iter().map(|x| rms * x));
            for i in narrow {
                d_stream[i] -= inv * inv * mean * pass.out[i];
                d_residual.push(d_stream[i] + d_rms * residual[i]);
            }
        }
        let d_scaled = linear::backward_input(&d_sum, gate_up, dim);
        let products = d_scaled.iter().zip(&pass.projected).enumerate();
        let mut d_gain = vec![0.0; dim];
        products.for_each(|(i, (d, x))| d_gain[i % dim] += d * x);
        let d_projected = accumulated(scaled(&d_scaled, gain), &d_stream);
        let d_mixed = linear::backward_input(&d_projected, weight, dim);
        let (d_q, d_kv) = latent_attention::backward(q, kv, &d_mixed, &s.attention, exact);
        let d_weight = linear::backward_weight(&d_projected, &pass.mixed, dim, dim);
        let scaled = scaled(&pass.projected, gain);
        let d_gate_up = linear::backward_weight(&d_sum, &scaled, wide, dim);
        vec![d_q, d_kv, d_weight, d_residual, d_gain, d_gate_up, d_base]
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "latent_attention_swiglu_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let (s, a) = (&self.shape, &self.shape.attention);
        let (dim, wide) = (a.width(), 2 * s.width);
        let at = inputs(s).map(|x| crate::numbers::widen(&x));
        let pass = Pass::new(&at, s, Rounding::Exact);
        let narrowed = |x: Vec<f64>| x.into_iter().map(|x| x as f32).collect();
        let mut args = input_args(s, format);
        args.extend([
            format.input("out", narrowed(pass.out)),
            Arg::input("inv_rms", narrowed(pass.inv_rms)),
            format.input("gate_up", narrowed(pass.gate_up)),
            format.input("d_out", normals(3, elements(a))),
            format.input("d_gate_up", normals(11, a.rows() * wide)),
            format.overwritten("d_kv", kv_elements(a)),
        ]);
        match self.queries {
            Queries::Skipped => {}
            Queries::Overwritten => args.push(format.overwritten("d_q", elements(a))),
            Queries::Added => args.push(format.updated("d_q", normals(4, elements(a)))),
        }
        if self.weights {
            args.extend([
                Arg::updated("d_weight", normals(12, dim * dim)),
                Arg::updated("d_gain", normals(13, dim)),
                Arg::updated("d_gate_up_weight", normals(14, wide * dim)),
                format.updated("d_residual", normals(15, elements(a))),
                format.updated("d_base", normals(16, a.rows() * wide)),
            ]);
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (queries, last) = (self.queries != Queries::Skipped, &b[b.len() - 5..]);
        device.latent_attention_swiglu_backward(&LatentAttentionSwigluBackward {
            inputs: buffers(b),
            out: &b[7],
            inv_rms: &b[8],
            gate_up: &b[9],
            d_out: &b[10],
            d_gate_up: &b[11],
            d_kv: &b[12],
            d_q: queries.then(|| &b[13]),
            accumulate_q: self.queries == Queries::Added,
            weights: self.weights.then(|| LatentAttentionSwigluWeights {
                d_weight: &last[0],
                d_gain: &last[1],
                d_gate_up_weight: &last[2],
                d_residual: &last[3],
                d_base: &last[4],
            }),
            shape: self.shape,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let at = INPUTS.map(|name| inputs.numbers(name));
        let [d_out, d_gate_up] = ["d_out", "d_gate_up"].map(|name| inputs.numbers(name));
        let gradients = self.gradients(&at, &d_out, &d_gate_up);
        let of = |i: usize, name: &str| accumulated(gradients[i].clone(), &inputs.numbers(name));
        let mut expected = vec![gradients[1].clone()];
        match self.queries {
            Queries::Skipped => {}
            Queries::Overwritten => expected.push(gradients[0].clone()),
            Queries::Added => expected.push(of(0, "d_q")),
        }
        if self.weights {
            let names = ["d_weight", "d_gain", "d_gate_up_weight", "d_residual", "d_base"];
            let order = [2, 4, 5, 3, 6];
            expected.extend(order.into_iter().zip(names).map(|(i, name)| of(i, name)));
        }
        expected.into_iter().map(|values| Expected::new(values, BACKWARD_ROUNDINGS)).collect()
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let s = &self.shape;
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let at = INPUTS.map(|name| inputs.numbers(name)).to_vec();
        let [d_out, d_gate_up] = ["d_out", "d_gate_up"].map(|name| inputs.numbers(name));
        let gradients = self.gradients(&at, &d_out, &d_gate_up);
        let value = move |at: &[Vec<f64>]| {
            let pass = Pass::new(at, s, Rounding::Exact);
            dot(&pass.out, &d_out) + dot(&pass.gate_up, &d_gate_up)
        };
        Some(Derivative { at, value: Box::new(value), gradients })
    }
}
