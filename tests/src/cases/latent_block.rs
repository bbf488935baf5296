//! Latent attention with the products around it and the norm after it.

use ltm_engine::ops::{
    KvGradient, LatentAttentionShape as Shape, LatentBlockBackward, LatentBlockForward,
    QueryProduct, QuerySource,
};
use ltm_engine::{Buffer, Device, Result};

use super::accumulated;
use super::latent_attention::{elements, kv, kv_elements};
use crate::numbers::{gaussians, narrow, normals, widen};
use crate::reference::{dot, latent_attention, linear, rms_norm};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// Large enough to show if it is left out.
const EPS: f32 = 1e-2;

/// `latent_block_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Extents.
    pub shape: Shape,
    /// Whether the queries are computed; else they are given.
    pub queries: bool,
}

/// `latent_block_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Extents.
    pub shape: Shape,
    /// Whether the gradient goes on through the queries.
    pub queries: bool,
}

printed!(Forward, Backward);

/// Sums over a row, through two products and a softmax.
fn roundings(s: &Shape) -> f64 {
    128.0 + 8.0 * (s.width() as f64).sqrt()
}

/// A matrix that leaves numbers of the size of its operand's.
fn matrix(seed: u64, s: &Shape) -> Vec<f32> {
    let scale = 1.0 / (s.width() as f32).sqrt();
    normals(seed, s.width() * s.width()).into_iter().map(|x| scale * x).collect()
}

fn gain(seed: u64, s: &Shape) -> Vec<f32> {
    gaussians(seed, s.width(), 1.0, 0.5)
}

/// `residual + attention(q) weight^T`. PyTorch writes the product before it adds the residual.
fn stream(s: &Shape, [q, kv, weight, residual]: [&[f64]; 4], rounding: Rounding) -> Vec<f64> {
    let attended = rounding.all(latent_attention::forward(q, kv, s, rounding));
    let product = rounding.all(linear::forward(&attended, weight, s.width()));
    accumulated(product, residual)
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "latent_block_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let s = &self.shape;
        let n = elements(s);
        let mut args = vec![
            format.input("kv", kv(s)),
            format.input("out_weight", matrix(3, s)),
            format.input("residual", normals(4, n)),
            format.input("gain", gain(5, s)),
            format.overwritten("out", n),
            format.overwritten("normed", n),
            Arg::overwritten("inv_rms", s.rows()),
        ];
        // The leading argument of a call is told apart by its place here too.
        match self.queries {
            false => args.insert(0, format.input("q", normals(1, n))),
            true => {
                args.insert(0, format.overwritten("q", n));
                args.push(format.input("x", normals(1, n)));
                args.push(format.input("weight", matrix(2, s)));
            }
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.latent_block_forward(&LatentBlockForward {
            query: self.queries.then(|| QueryProduct { x: &b[8], weight: &b[9] }),
            q: &b[0],
            kv: &b[1],
            out_weight: &b[2],
            residual: &b[3],
            gain: &b[4],
            out: &b[5],
            normed: &b[6],
            inv_rms: &b[7],
            eps: EPS,
            shape: self.shape,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let (s, roundings) = (&self.shape, roundings(&self.shape));
        let [kv, weight, residual, gain] =
            ["kv", "out_weight", "residual", "gain"].map(|name| inputs.numbers(name));
        let mut expected = Vec::new();
        let q = match self.queries {
            false => inputs.numbers("q"),
            true => {
                let (x, weight) = (inputs.numbers("x"), inputs.numbers("weight"));
                let q = linear::forward(&x, &weight, s.width());
                expected.push(Expected::new(q.clone(), roundings));
                rounding.all(q)
            }
        };
        let out = stream(s, [&q, &kv, &weight, &residual], rounding);
        let (normed, inv_rms) = rms_norm::forward(&rounding.all(out.clone()), &gain, EPS as f64);
        expected.extend([out, normed, inv_rms].map(|x| Expected::new(x, roundings)));
        expected
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "latent_block_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let s = &self.shape;
        let n = elements(s);
        let [residual, gain, weight] =
            [normals(4, n), gain(5, s), matrix(2, s)].map(|values| format.stored(values));
        let (normed, inv_rms) = rms_norm::forward(&widen(&residual), &widen(&gain), EPS as f64);
        let q = linear::forward(&normed, &widen(&weight), s.width());
        let mut args = vec![
            format.input("q", narrow(&q)),
            format.input("kv", kv(s)),
            format.input("out_weight", matrix(3, s)),
            format.overwritten("d_kv", kv_elements(s)),
        ];
        match self.queries {
            false => args.insert(0, format.input("d_out", normals(1, n))),
            true => {
                args.insert(0, format.updated("d_out", normals(1, n)));
                args.push(format.input("weight", weight));
                args.push(format.input("residual", residual));
                args.push(format.input("gain", gain));
                args.push(Arg::input("inv_rms", narrow(&inv_rms)));
            }
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (shape, with_source) = (self.shape, self.queries);
        let room = device.alloc(b[0].dtype(), LatentBlockBackward::room(&shape, with_source))?;
        device.latent_block_backward(&LatentBlockBackward {
            d_out: &b[0],
            q: &b[1],
            kv: &b[2],
            out_weight: &b[3],
            d_kv: KvGradient::Complete(&b[4]),
            source: with_source.then(|| QuerySource {
                weight: &b[5],
                residual: &b[6],
                gain: &b[7],
                inv_rms: &b[8],
            }),
            room: &room,
            shape,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let (s, roundings) = (&self.shape, roundings(&self.shape));
        let [d_out, q, kv, out_weight] =
            ["d_out", "q", "kv", "out_weight"].map(|name| inputs.numbers(name));
        let d_attended = rounding.all(linear::backward_input(&d_out, &out_weight, s.width()));
        let (d_q, d_kv) = latent_attention::backward(&q, &kv, &d_attended, s, rounding);
        let d_kv = Expected::new(d_kv, roundings);
        if !self.queries {
            return vec![d_kv];
        }
        let [weight, residual, gain] =
            ["weight", "residual", "gain"].map(|name| inputs.numbers(name));
        let d_normed = linear::backward_input(&rounding.all(d_q), &weight, s.width());
        let (d_x, _) = rms_norm::backward(&rounding.all(d_normed), &residual, &gain, EPS as f64);
        vec![Expected::new(accumulated(rounding.all(d_x), &d_out), roundings), d_kv]
    }

    /// The gradient of `d_out . out` with the queries made of the residual, or given.
    fn derivative(&self) -> Option<Derivative<'_>> {
        let s = &self.shape;
        let args = Self { queries: true, ..*self }.args(Format::F32);
        let inputs = Inputs::new(&args);
        let [d_out, kv, out_weight, weight, residual, gain] =
            ["d_out", "kv", "out_weight", "weight", "residual", "gain"]
                .map(|name| inputs.numbers(name));
        let query = move |residual: &[f64]| {
            let (normed, _) = rms_norm::forward(residual, &gain, EPS as f64);
            linear::forward(&normed, &weight, s.width())
        };
        let (queries, given) = (self.queries, query(&residual));
        let gradients = self.expected(&inputs, Rounding::Exact);
        let mut gradients: Vec<_> = gradients.into_iter().map(|e| e.values).collect();
        gradients.reverse();
        let at = match queries {
            true => vec![kv, residual.clone()],
            false => vec![kv],
        };
        let value = move |at: &[Vec<f64>]| {
            let (kv, residual) = (&at[0], at.get(1).unwrap_or(&residual));
            let made = queries.then(|| query(residual));
            let q = made.as_ref().unwrap_or(&given);
            dot(&stream(s, [q, kv, &out_weight, residual], Rounding::Exact), &d_out)
        };
        Some(Derivative { at, value: Box::new(value), gradients })
    }
}
