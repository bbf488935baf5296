//! Linear maps and both of their gradients.

use ltm_engine::ops::{LinearBackwardInput, LinearBackwardWeight, LinearForward};
use ltm_engine::{Buffer, Device, Result};

use super::accumulated;
use crate::numbers::normals;
use crate::reference::{dot, linear};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// Extents of a linear map.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Rows of x.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
}

/// `linear_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Extents.
    pub shape: Shape,
    /// Whether a residual is added.
    pub residual: bool,
}

/// `linear_decode`.
#[derive(Clone, Copy, Debug)]
pub struct Decode {
    /// Extents.
    pub shape: Shape,
    /// Whether a residual is added.
    pub residual: bool,
}

/// `linear_backward_input`.
#[derive(Clone, Copy, Debug)]
pub struct BackwardInput {
    /// Extents.
    pub shape: Shape,
    /// Whether `d_x` is added to.
    pub accumulate: bool,
}

/// `linear_backward_weight`.
#[derive(Clone, Copy, Debug)]
pub struct BackwardWeight {
    /// Extents.
    pub shape: Shape,
}

printed!(Forward, Decode, BackwardInput, BackwardWeight);

/// A sum of `terms` products, accumulated in f32.
fn roundings(terms: usize) -> f64 {
    2.0 + 0.5 * (terms as f64).sqrt()
}

impl Shape {
    /// Contents of `x`, `[rows, inner]`.
    pub fn x(&self) -> Vec<f32> {
        normals(1, self.rows * self.inner)
    }

    /// Contents of `weight`, `[outer, inner]`.
    pub fn weight(&self) -> Vec<f32> {
        normals(2, self.outer * self.inner)
    }

    /// A residual, or the gradient of the result, `[rows, outer]`.
    pub fn of_out(&self) -> Vec<f32> {
        normals(3, self.rows * self.outer)
    }

    /// `d_out . out`, with its gradients with respect to `x` and `weight`.
    fn derivative(&self) -> Derivative<'_> {
        let [x, weight, d_out] =
            [self.x(), self.weight(), self.of_out()].map(|v| crate::numbers::widen(&v));
        let gradients = vec![
            linear::backward_input(&d_out, &weight, self.inner),
            linear::backward_weight(&d_out, &x, self.outer, self.inner),
        ];
        let value =
            move |at: &[Vec<f64>]| dot(&linear::forward(&at[0], &at[1], self.inner), &d_out);
        Derivative { at: vec![x, weight], value: Box::new(value), gradients }
    }
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "linear_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let mut args = vec![
            format.input("x", self.shape.x()),
            format.input("weight", self.shape.weight()),
            format.overwritten("out", self.shape.rows * self.shape.outer),
        ];
        if self.residual {
            args.push(format.input("residual", self.shape.of_out()));
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Shape { rows, inner, outer } = self.shape;
        let (x, weight, out) = (&b[0], &b[1], &b[2]);
        let residual = self.residual.then(|| &b[3]);
        device.linear_forward(&LinearForward { x, weight, residual, out, rows, inner, outer })
    }

    /// PyTorch writes the product before it adds the residual.
    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let inner = self.shape.inner;
        let mut out = linear::forward(&inputs.numbers("x"), &inputs.numbers("weight"), inner);
        if self.residual {
            out = accumulated(rounding.all(out), &inputs.numbers("residual"));
        }
        vec![Expected::new(out, roundings(inner))]
    }
}

impl Decode {
    fn forward(&self) -> Forward {
        Forward { shape: self.shape, residual: self.residual }
    }
}

impl Case for Decode {
    fn op(&self) -> &'static str {
        "linear_decode"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        self.forward().args(format)
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Shape { rows, inner, outer } = self.shape;
        let (x, weight, out, residual) = (&b[0], &b[1], &b[2], b.get(3));
        device.linear_decode(&LinearForward { x, weight, residual, out, rows, inner, outer })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        self.forward().expected(inputs, rounding)
    }
}

impl Case for BackwardInput {
    fn op(&self) -> &'static str {
        "linear_backward_input"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let n = self.shape.rows * self.shape.inner;
        vec![
            format.input("d_out", self.shape.of_out()),
            format.input("weight", self.shape.weight()),
            match self.accumulate {
                true => format.updated("d_x", normals(4, n)),
                false => format.overwritten("d_x", n),
            },
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Shape { rows, inner, outer } = self.shape;
        let (d_out, weight, d_x, accumulate) = (&b[0], &b[1], &b[2], self.accumulate);
        device.linear_backward_input(&LinearBackwardInput {
            d_out,
            weight,
            d_x,
            accumulate,
            rows,
            inner,
            outer,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let (d_out, weight) = (inputs.numbers("d_out"), inputs.numbers("weight"));
        let mut d_x = linear::backward_input(&d_out, &weight, self.shape.inner);
        if self.accumulate {
            d_x = accumulated(rounding.all(d_x), &inputs.numbers("d_x"));
        }
        vec![Expected::new(d_x, roundings(self.shape.outer))]
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        Some(self.shape.derivative())
    }
}

impl Case for BackwardWeight {
    fn op(&self) -> &'static str {
        "linear_backward_weight"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let before = normals(4, self.shape.outer * self.shape.inner);
        vec![
            format.input("d_out", self.shape.of_out()),
            format.input("x", self.shape.x()),
            Arg::updated("d_weight", format.single(before)),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Shape { rows, inner, outer } = self.shape;
        let (d_out, x, d_weight) = (&b[0], &b[1], &b[2]);
        device.linear_backward_weight(&LinearBackwardWeight {
            d_out,
            x,
            d_weight,
            rows,
            inner,
            outer,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let Shape { rows, inner, outer } = self.shape;
        let (d_out, x) = (inputs.numbers("d_out"), inputs.numbers("x"));
        let d_weight = linear::backward_weight(&d_out, &x, outer, inner);
        let d_weight = accumulated(d_weight, &inputs.numbers("d_weight"));
        vec![Expected::new(d_weight, roundings(rows))]
    }
}
