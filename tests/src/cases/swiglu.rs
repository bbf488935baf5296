//! The gated activation.

use ltm_engine::ops::{SwigluBackward, SwigluForward};
use ltm_engine::{Buffer, Device, Result};

use crate::numbers::{gaussians, normals};
use crate::reference::{dot, swiglu};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// Those of the exponential, the division and three products.
const ROUNDINGS: f64 = 6.0;

/// `swiglu_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Rows.
    pub rows: usize,
    /// Numbers per row of the result.
    pub width: usize,
}

/// `swiglu_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Rows.
    pub rows: usize,
    /// Numbers per row of the result.
    pub width: usize,
}

printed!(Forward, Backward);

/// Wide enough that the gate saturates at both ends.
fn gate_up(rows: usize, width: usize) -> Vec<f32> {
    gaussians(1, 2 * rows * width, 0.0, 4.0)
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "swiglu_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        vec![
            format.input("gate_up", gate_up(self.rows, self.width)),
            format.overwritten("out", self.rows * self.width),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, width } = *self;
        device.swiglu_forward(&SwigluForward { gate_up: &b[0], out: &b[1], rows, width })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let out = swiglu::forward(&inputs.numbers("gate_up"), self.width, rounding);
        vec![Expected::new(out, ROUNDINGS)]
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "swiglu_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let n = self.rows * self.width;
        vec![
            format.input("gate_up", gate_up(self.rows, self.width)),
            format.input("d_out", normals(2, n)),
            format.overwritten("d_gate_up", 2 * n),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, width } = *self;
        let (gate_up, d_out, d_gate_up) = (&b[0], &b[1], &b[2]);
        device.swiglu_backward(&SwigluBackward { gate_up, d_out, d_gate_up, rows, width })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let (gate_up, d_out) = (inputs.numbers("gate_up"), inputs.numbers("d_out"));
        let gradient = swiglu::backward(&gate_up, &d_out, self.width, rounding);
        vec![Expected::new(gradient, ROUNDINGS)]
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let (gate_up, d_out) = (inputs.numbers("gate_up"), inputs.numbers("d_out"));
        let gradient = swiglu::backward(&gate_up, &d_out, self.width, Rounding::Exact);
        let value = move |at: &[Vec<f64>]| {
            dot(&swiglu::forward(&at[0], self.width, Rounding::Exact), &d_out)
        };
        Some(Derivative { at: vec![gate_up], value: Box::new(value), gradients: vec![gradient] })
    }
}
