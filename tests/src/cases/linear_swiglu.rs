//! Linear maps with the gated activation in them, and the same in two steps.

use ltm_engine::ops::{
    LinearBackwardInput, LinearForward, LinearSwigluBackward, LinearSwigluForward, SwigluBackward,
    SwigluForward,
};
use ltm_engine::{Buffer, Device, Result};

use crate::numbers::normals;
use crate::reference::{dot, linear, swiglu};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// `linear_swiglu_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Rows of x.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Hidden features.
    pub width: usize,
    /// As two operations.
    pub apart: bool,
}

/// `linear_swiglu_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Rows of the gradient.
    pub rows: usize,
    /// Hidden features.
    pub width: usize,
    /// Output features.
    pub outer: usize,
    /// As two operations.
    pub apart: bool,
}

printed!(Forward, Backward);

/// A sum of `terms` products, whose error the activation multiplies by numbers that are sums
/// themselves.
fn roundings(terms: usize) -> f64 {
    12.0 + 4.0 * (terms as f64).sqrt()
}

/// A matrix that leaves numbers of the size of its operand's.
fn matrix(seed: u64, outer: usize, inner: usize, terms: usize) -> Vec<f32> {
    let scale = 2.0 / (terms.max(1) as f32).sqrt();
    normals(seed, outer * inner).into_iter().map(|x| scale * x).collect()
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "linear_swiglu_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let Self { rows, inner, width, .. } = *self;
        vec![
            format.input("x", normals(1, rows * inner)),
            format.input("weight", matrix(2, 2 * width, inner, inner)),
            format.overwritten("gate_up", 2 * rows * width),
            format.overwritten("out", rows * width),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, inner, width, apart } = *self;
        let (x, weight, gate_up, out) = (&b[0], &b[1], &b[2], &b[3]);
        if !apart {
            let args = LinearSwigluForward { x, weight, gate_up, out, rows, inner, width };
            return device.linear_swiglu_forward(&args);
        }
        let outer = 2 * width;
        let product = LinearForward { x, weight, residual: None, out: gate_up, rows, inner, outer };
        device.linear_forward(&product)?;
        device.swiglu_forward(&SwigluForward { gate_up, out, rows, width })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let (x, weight) = (inputs.numbers("x"), inputs.numbers("weight"));
        let gate_up = linear::forward(&x, &weight, self.inner);
        let out = swiglu::forward(&rounding.all(gate_up.clone()), self.width, rounding);
        let allowed = roundings(self.inner);
        vec![Expected::new(gate_up, allowed), Expected::new(out, allowed)]
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "linear_swiglu_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let Self { rows, width, outer, .. } = *self;
        let gate_up = normals(3, 2 * rows * width).into_iter().map(|x| 2.0 * x).collect();
        vec![
            format.input("d_out", normals(1, rows * outer)),
            format.input("weight", matrix(2, outer, width, outer)),
            format.input("gate_up", gate_up),
            format.overwritten("d_gate_up", 2 * rows * width),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, width, outer, apart } = *self;
        let (d_out, weight, gate_up, d_gate_up) = (&b[0], &b[1], &b[2], &b[3]);
        if !apart {
            let args =
                LinearSwigluBackward { d_out, weight, gate_up, d_gate_up, rows, width, outer };
            return device.linear_swiglu_backward(&args);
        }
        let d = device.alloc(d_out.dtype(), rows * width)?;
        device.linear_backward_input(&LinearBackwardInput {
            d_out,
            weight,
            d_x: &d,
            accumulate: false,
            rows,
            inner: width,
            outer,
        })?;
        device.swiglu_backward(&SwigluBackward { gate_up, d_out: &d, d_gate_up, rows, width })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let [d_out, weight, gate_up] =
            ["d_out", "weight", "gate_up"].map(|name| inputs.numbers(name));
        let d = rounding.all(linear::backward_input(&d_out, &weight, self.width));
        let gradient = swiglu::backward(&gate_up, &d, self.width, rounding);
        vec![Expected::new(gradient, roundings(self.outer))]
    }

    /// The gradient of `d_out . (swiglu(gate_up) weight^T)`.
    fn derivative(&self) -> Option<Derivative<'_>> {
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let [d_out, weight, gate_up] =
            ["d_out", "weight", "gate_up"].map(|name| inputs.numbers(name));
        let d = linear::backward_input(&d_out, &weight, self.width);
        let gradient = swiglu::backward(&gate_up, &d, self.width, Rounding::Exact);
        let value = move |at: &[Vec<f64>]| {
            let hidden = swiglu::forward(&at[0], self.width, Rounding::Exact);
            dot(&linear::forward(&hidden, &weight, self.width), &d_out)
        };
        Some(Derivative { at: vec![gate_up], value: Box::new(value), gradients: vec![gradient] })
    }
}
