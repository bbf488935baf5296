//! Attention of tokens to latents with the projection behind it.

use ltm_engine::ops::{
    LatentAttentionLinearBackward, LatentAttentionLinearForward, LatentAttentionShape as Shape,
};
use ltm_engine::{Buffer, Device, Result};

use super::accumulated;
use super::latent_attention::{Queries, elements, kv, kv_elements, q};
use crate::numbers::normals;
use crate::reference::{dot, latent_attention, linear};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// As for latent attention, and a sum over its width.
const FORWARD_ROUNDINGS: f64 = 64.0;
/// As for latent attention, and a sum over its width.
const BACKWARD_ROUNDINGS: f64 = 256.0;

/// `latent_attention_linear_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Extents.
    pub shape: Shape,
}

/// `latent_attention_linear_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Extents.
    pub shape: Shape,
    /// What happens to the gradient of the queries.
    pub queries: Queries,
    /// Whether the gradient of the projection is computed.
    pub weight: bool,
}

printed!(Forward, Backward);

/// A projection that leaves numbers of the size of its operand's.
pub(super) fn weight(s: &Shape) -> Vec<f32> {
    let scale = 1.0 / (s.width().max(1) as f32).sqrt();
    normals(5, s.width() * s.width()).into_iter().map(|x| scale * x).collect()
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "latent_attention_linear_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let s = &self.shape;
        vec![
            format.input("q", q(s)),
            format.input("kv", kv(s)),
            format.input("weight", weight(s)),
            format.input("residual", normals(6, elements(s))),
            format.overwritten("out", elements(s)),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (q, kv, weight, residual, out) = (&b[0], &b[1], &b[2], &b[3], &b[4]);
        let args = LatentAttentionLinearForward { q, kv, weight, residual, out, shape: self.shape };
        device.latent_attention_linear_forward(&args)
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let [q, kv, weight] = ["q", "kv", "weight"].map(|name| inputs.numbers(name));
        let mixed = latent_attention::forward(&q, &kv, &self.shape, rounding);
        let out = linear::forward(&mixed, &weight, self.shape.width());
        vec![Expected::new(accumulated(out, &inputs.numbers("residual")), FORWARD_ROUNDINGS)]
    }
}

impl Backward {
    /// Gradients of q, kv and the projection.
    fn gradients(&self, inputs: &Inputs<'_>, rounding: Rounding) -> [Vec<f64>; 3] {
        let (s, width) = (&self.shape, self.shape.width());
        let [q, kv, weight, d_out] =
            ["q", "kv", "weight", "d_out"].map(|name| inputs.numbers(name));
        let mixed = latent_attention::forward(&q, &kv, s, rounding);
        let d_mixed = linear::backward_input(&d_out, &weight, width);
        let (d_q, d_kv) = latent_attention::backward(&q, &kv, &d_mixed, s, rounding);
        [d_q, d_kv, linear::backward_weight(&d_out, &mixed, width, width)]
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "latent_attention_linear_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let s = &self.shape;
        let mut args = vec![
            format.input("q", q(s)),
            format.input("kv", kv(s)),
            format.input("weight", weight(s)),
            format.input("d_out", normals(3, elements(s))),
            format.overwritten("d_kv", kv_elements(s)),
        ];
        match self.queries {
            Queries::Skipped => {}
            Queries::Overwritten => args.push(format.overwritten("d_q", elements(s))),
            Queries::Added => args.push(format.updated("d_q", normals(4, elements(s)))),
        }
        if self.weight {
            args.push(Arg::updated("d_weight", normals(7, s.width() * s.width())));
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.latent_attention_linear_backward(&LatentAttentionLinearBackward {
            q: &b[0],
            kv: &b[1],
            weight: &b[2],
            d_out: &b[3],
            d_kv: &b[4],
            d_q: (self.queries != Queries::Skipped).then(|| &b[5]),
            accumulate_q: self.queries == Queries::Added,
            d_weight: b.last().filter(|_| self.weight),
            shape: self.shape,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let [mut d_q, d_kv, d_weight] = self.gradients(inputs, rounding);
        let mut expected = vec![d_kv];
        if self.queries == Queries::Added {
            d_q = accumulated(d_q, &inputs.numbers("d_q"));
        }
        if self.queries != Queries::Skipped {
            expected.push(d_q);
        }
        if self.weight {
            expected.push(accumulated(d_weight, &inputs.numbers("d_weight")));
        }
        expected.into_iter().map(|values| Expected::new(values, BACKWARD_ROUNDINGS)).collect()
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let s = &self.shape;
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let [q, kv, weight, d_out] =
            ["q", "kv", "weight", "d_out"].map(|name| inputs.numbers(name));
        let gradients = self.gradients(&inputs, Rounding::Exact).to_vec();
        let value = move |at: &[Vec<f64>]| {
            let mixed = latent_attention::forward(&at[0], &at[1], s, Rounding::Exact);
            dot(&linear::forward(&mixed, &at[2], s.width()), &d_out)
        };
        Some(Derivative { at: vec![q, kv, weight], value: Box::new(value), gradients })
    }
}
