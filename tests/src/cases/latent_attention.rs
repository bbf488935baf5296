//! Attention of tokens to latents.

use ltm_engine::ops::{
    KvGradient, LatentAttentionBackward, LatentAttentionForward, LatentAttentionReduce,
    LatentAttentionShape as Shape,
};
use ltm_engine::{Buffer, DType, Device, Result};

use super::accumulated;
use crate::numbers::normals;
use crate::reference::{dot, latent_attention};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// As for window attention.
const FORWARD_ROUNDINGS: f64 = 32.0;
/// As for window attention.
const BACKWARD_ROUNDINGS: f64 = 128.0;

/// `latent_attention_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Extents.
    pub shape: Shape,
}

/// What happens to the gradient of the queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queries {
    /// It is not computed.
    Skipped,
    /// It is written.
    Overwritten,
    /// It is added to another.
    Added,
}

/// `latent_attention_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Extents.
    pub shape: Shape,
    /// What happens to the gradient of the queries.
    pub queries: Queries,
}

/// `latent_attention_backward` of several attentions into sums, and `latent_attention_reduce`.
#[derive(Clone, Copy, Debug)]
pub struct Reduce {
    /// Extents of each.
    pub shape: Shape,
    /// Attentions.
    pub groups: usize,
}

printed!(Forward, Backward, Reduce);

/// Numbers in the queries, the result and its gradient.
pub fn elements(s: &Shape) -> usize {
    s.rows() * s.width()
}

/// Numbers in the keys and values.
pub fn kv_elements(s: &Shape) -> usize {
    2 * s.batch * s.latents * s.width()
}

/// Contents of the queries.
pub fn q(s: &Shape) -> Vec<f32> {
    normals(1, elements(s))
}

/// Contents of the keys and values.
pub fn kv(s: &Shape) -> Vec<f32> {
    normals(2, kv_elements(s))
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "latent_attention_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let s = &self.shape;
        vec![
            format.input("q", q(s)),
            format.input("kv", kv(s)),
            format.overwritten("out", elements(s)),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (q, kv, out, shape) = (&b[0], &b[1], &b[2], self.shape);
        device.latent_attention_forward(&LatentAttentionForward { q, kv, out, shape })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let (q, kv) = (inputs.numbers("q"), inputs.numbers("kv"));
        let out = latent_attention::forward(&q, &kv, &self.shape, rounding);
        vec![Expected::new(out, FORWARD_ROUNDINGS)]
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "latent_attention_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let s = &self.shape;
        let mut args = vec![
            format.input("q", q(s)),
            format.input("kv", kv(s)),
            format.input("d_out", normals(3, elements(s))),
            format.overwritten("d_kv", kv_elements(s)),
        ];
        match self.queries {
            Queries::Skipped => {}
            Queries::Overwritten => args.push(format.overwritten("d_q", elements(s))),
            Queries::Added => args.push(format.updated("d_q", normals(4, elements(s)))),
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.latent_attention_backward(&LatentAttentionBackward {
            q: &b[0],
            kv: &b[1],
            d_out: &b[2],
            d_kv: KvGradient::Complete(&b[3]),
            d_q: (self.queries != Queries::Skipped).then(|| &b[4]),
            accumulate_q: self.queries == Queries::Added,
            shape: self.shape,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let [q, kv, d_out] = ["q", "kv", "d_out"].map(|name| inputs.numbers(name));
        let (mut d_q, d_kv) = latent_attention::backward(&q, &kv, &d_out, &self.shape, rounding);
        let mut expected = vec![Expected::new(d_kv, BACKWARD_ROUNDINGS)];
        if self.queries == Queries::Added {
            d_q = accumulated(rounding.all(d_q), &inputs.numbers("d_q"));
        }
        if self.queries != Queries::Skipped {
            expected.push(Expected::new(d_q, BACKWARD_ROUNDINGS));
        }
        expected
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let s = &self.shape;
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let [q, kv, d_out] = ["q", "kv", "d_out"].map(|name| inputs.numbers(name));
        let (d_q, d_kv) = latent_attention::backward(&q, &kv, &d_out, s, Rounding::Exact);
        let value = move |at: &[Vec<f64>]| {
            dot(&latent_attention::forward(&at[0], &at[1], s, Rounding::Exact), &d_out)
        };
        Some(Derivative { at: vec![q, kv], value: Box::new(value), gradients: vec![d_q, d_kv] })
    }
}

impl Case for Reduce {
    fn op(&self) -> &'static str {
        "latent_attention_reduce"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let (s, n) = (&self.shape, self.groups);
        vec![
            format.input("q", normals(1, n * elements(s))),
            format.input("kv", normals(2, n * kv_elements(s))),
            format.input("d_out", normals(3, n * elements(s))),
            format.overwritten("d_kv", n * kv_elements(s)),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (shape, groups) = (self.shape, self.groups);
        let sums = device.alloc(DType::F32, groups * shape.sums_len())?;
        let part = |buffer: &Buffer, group: usize, len: usize| {
            buffer.slice(group * len..(group + 1) * len)
        };
        for group in 0..groups {
            device.latent_attention_backward(&LatentAttentionBackward {
                q: &part(&b[0], group, elements(&shape))?,
                kv: &part(&b[1], group, kv_elements(&shape))?,
                d_out: &part(&b[2], group, elements(&shape))?,
                d_kv: KvGradient::Sums(&part(&sums, group, shape.sums_len())?),
                d_q: None,
                accumulate_q: false,
                shape,
            })?;
        }
        let (sums, d_kv) = (&sums, &b[3]);
        device.latent_attention_reduce(&LatentAttentionReduce { sums, d_kv, groups, shape })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let s = &self.shape;
        let [q, kv, d_out] = ["q", "kv", "d_out"].map(|name| inputs.numbers(name));
        let of_group = |group: usize| {
            let part = |x: &[f64], len: usize| x[group * len..(group + 1) * len].to_vec();
            let [q, d_out] = [&q, &d_out].map(|x| part(x, elements(s)));
            latent_attention::backward(&q, &part(&kv, kv_elements(s)), &d_out, s, rounding).1
        };
        let d_kv = (0..self.groups).flat_map(of_group).collect();
        vec![Expected::new(d_kv, BACKWARD_ROUNDINGS)]
    }
}
