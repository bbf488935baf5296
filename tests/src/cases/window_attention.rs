//! Sliding-window attention over whole sequences.

use ltm_engine::ops::{
    WindowAttentionBackward, WindowAttentionForward, WindowAttentionShape as Shape,
};
use ltm_engine::{Buffer, DType, Device, Result};

use crate::numbers::{narrow, normals, widen};
use crate::reference::{dot, window_attention};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// The exponential turns the rounding of a score, which may be 8 and the end of a long sum,
/// into a relative error of its weight.
const FORWARD_ROUNDINGS: f64 = 32.0;
/// In a gradient, that weight multiplies a difference of sums over a head, of up to four
/// deviations, and an element of a key, likewise.
const BACKWARD_ROUNDINGS: f64 = 128.0;

/// `window_attention_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Extents.
    pub shape: Shape,
}

/// `window_attention_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Extents.
    pub shape: Shape,
}

printed!(Forward, Backward);

/// Numbers in the result and its gradient.
pub fn elements(s: &Shape) -> usize {
    s.rows() * s.width()
}

/// Contents of queries, keys and values.
pub fn qkv(s: &Shape) -> Vec<f32> {
    normals(1, 3 * elements(s))
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "window_attention_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        vec![
            format.input("qkv", qkv(&self.shape)),
            format.overwritten("out", elements(&self.shape)),
            Arg::overwritten("logsumexp", self.shape.rows() * self.shape.heads),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (qkv, out, logsumexp, shape) = (&b[0], &b[1], &b[2], self.shape);
        device.window_attention_forward(&WindowAttentionForward { qkv, out, logsumexp, shape })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let (out, lse) = window_attention::forward(&inputs.numbers("qkv"), &self.shape, rounding);
        vec![Expected::new(out, FORWARD_ROUNDINGS), Expected::new(lse, FORWARD_ROUNDINGS)]
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "window_attention_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let s = &self.shape;
        let qkv = format.stored(qkv(s));
        // The sums that a forward pass in this storage leaves: weights come of them exactly.
        let rounding = match format.storage {
            DType::BF16 => Rounding::Bf16,
            _ => Rounding::Exact,
        };
        let (out, logsumexp) = window_attention::forward(&widen(&qkv), s, rounding);
        vec![
            format.input("qkv", qkv),
            format.input("out", narrow(&out)),
            Arg::input("logsumexp", narrow(&logsumexp)),
            format.input("d_out", normals(2, elements(s))),
            format.overwritten("d_qkv", 3 * elements(s)),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.window_attention_backward(&WindowAttentionBackward {
            qkv: &b[0],
            out: &b[1],
            logsumexp: &b[2],
            d_out: &b[3],
            d_qkv: &b[4],
            shape: self.shape,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let (qkv, d_out) = (inputs.numbers("qkv"), inputs.numbers("d_out"));
        let d_qkv = window_attention::backward(&qkv, &d_out, &self.shape, rounding);
        vec![Expected::new(d_qkv, BACKWARD_ROUNDINGS)]
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let s = &self.shape;
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let (qkv, d_out) = (inputs.numbers("qkv"), inputs.numbers("d_out"));
        let gradient = window_attention::backward(&qkv, &d_out, s, Rounding::Exact);
        let value = move |at: &[Vec<f64>]| {
            dot(&window_attention::forward(&at[0], s, Rounding::Exact).0, &d_out)
        };
        Some(Derivative { at: vec![qkv], value: Box::new(value), gradients: vec![gradient] })
    }
}
