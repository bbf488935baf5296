//! Root-mean-square normalisation.

use ltm_engine::ops::{ResidualAdd, RmsNormBackward, RmsNormForward};
use ltm_engine::{Buffer, Device, Result};

use super::accumulated;
use crate::numbers::{gaussians, narrow, normals, widen};
use crate::reference::{dot, rms_norm};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// Large enough to show if it is left out.
const EPS: f32 = 1e-2;

/// A handful of roundings, and those of the sum over a row.
fn roundings(width: usize) -> f64 {
    4.0 + 0.25 * (width as f64).sqrt()
}

/// `rms_norm_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Rows.
    pub rows: usize,
    /// Numbers per row.
    pub width: usize,
    /// Whether a branch is added first.
    pub residual: bool,
}

/// Which gradients are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That of x.
    Input,
    /// That of x, added to another.
    AddedInput,
    /// That of the gain.
    Weight,
    /// Those of x and of the gain.
    Both,
}

/// `rms_norm_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Rows.
    pub rows: usize,
    /// Numbers per row.
    pub width: usize,
    /// Outputs.
    pub wanted: Wanted,
}

printed!(Forward, Backward);

impl Forward {
    fn len(&self) -> usize {
        self.rows * self.width
    }
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "rms_norm_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let mut args = vec![
            format.input("x", normals(1, self.len())),
            format.input("weight", gaussians(3, self.width, 1.0, 0.5)),
            format.overwritten("out", self.len()),
            Arg::overwritten("inv_rms", self.rows),
        ];
        if self.residual {
            args.push(format.input("delta", normals(2, self.len())));
            args.push(format.overwritten("sum", self.len()));
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.rms_norm_forward(&RmsNormForward {
            x: &b[0],
            residual: self.residual.then(|| ResidualAdd { delta: &b[4], sum: &b[5] }),
            weight: &b[1],
            out: &b[2],
            inv_rms: &b[3],
            rows: self.rows,
            width: self.width,
            eps: EPS,
        })
    }

    /// The sum of two f32 numbers in f64, rounded once more, is their sum in f32.
    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let mut x = inputs.numbers("x");
        if self.residual {
            let sum = accumulated(x, &inputs.numbers("delta"));
            x = sum.iter().map(|x| *x as f32 as f64).collect();
        }
        let normalised = rounding.all(x.clone());
        let (out, inv_rms) = rms_norm::forward(&normalised, &inputs.numbers("weight"), EPS as f64);
        let roundings = roundings(self.width);
        let mut expected = vec![Expected::new(out, roundings), Expected::new(inv_rms, roundings)];
        if self.residual {
            expected.push(Expected::exact(x));
        }
        expected
    }
}

impl Backward {
    fn len(&self) -> usize {
        self.rows * self.width
    }

    fn wants_input(&self) -> bool {
        self.wanted != Wanted::Weight
    }

    fn wants_weight(&self) -> bool {
        matches!(self.wanted, Wanted::Weight | Wanted::Both)
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "rms_norm_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let n = self.len();
        let (x, weight) = (normals(2, n), gaussians(3, self.width, 1.0, 0.5));
        let [x, weight] = [x, weight].map(|v| format.stored(v));
        let (_, inv_rms) = rms_norm::forward(&widen(&x), &widen(&weight), EPS as f64);
        let mut args = vec![
            format.input("d_out", normals(1, n)),
            format.input("x", x),
            format.input("weight", weight),
            Arg::input("inv_rms", narrow(&inv_rms)),
        ];
        match self.wanted {
            Wanted::AddedInput => args.push(format.updated("d_x", normals(4, n))),
            Wanted::Input | Wanted::Both => args.push(format.overwritten("d_x", n)),
            Wanted::Weight => {}
        }
        if self.wants_weight() {
            args.push(Arg::updated("d_weight", normals(5, self.width)));
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.rms_norm_backward(&RmsNormBackward {
            d_out: &b[0],
            x: &b[1],
            weight: &b[2],
            inv_rms: &b[3],
            d_x: self.wants_input().then(|| &b[4]),
            accumulate: self.wanted == Wanted::AddedInput,
            d_weight: self.wants_weight().then(|| &b[b.len() - 1]),
            rows: self.rows,
            width: self.width,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let [d_out, x, weight] = ["d_out", "x", "weight"].map(|name| inputs.numbers(name));
        let (mut d_x, d_weight) = rms_norm::backward(&d_out, &x, &weight, EPS as f64);
        if self.wanted == Wanted::AddedInput {
            d_x = accumulated(rounding.all(d_x), &inputs.numbers("d_x"));
        }
        let mut expected = Vec::new();
        if self.wants_input() {
            expected.push(Expected::new(d_x, roundings(self.width)));
        }
        if self.wants_weight() {
            let d_weight = accumulated(d_weight, &inputs.numbers("d_weight"));
            expected.push(Expected::new(d_weight, 4.0 + (self.rows as f64).sqrt()));
        }
        expected
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let [d_out, x, weight] = ["d_out", "x", "weight"].map(|name| inputs.numbers(name));
        let (d_x, d_weight) = rms_norm::backward(&d_out, &x, &weight, EPS as f64);
        let value =
            move |at: &[Vec<f64>]| dot(&rms_norm::forward(&at[0], &at[1], EPS as f64).0, &d_out);
        let gradients = vec![d_x, d_weight];
        Some(Derivative { at: vec![x, weight], value: Box::new(value), gradients })
    }
}
