//! Linear maps with the normalisation beside them, and the same in two steps.

use ltm_engine::ops::{
    LinearBackwardInput, LinearForward, LinearRmsNormBackward, LinearRmsNormForward,
    RmsNormBackward, RmsNormForward,
};
use ltm_engine::{Buffer, Device, Result};

use super::accumulated;
use crate::numbers::{gaussians, narrow, normals, widen};
use crate::reference::{dot, linear, rms_norm};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// Large enough to show if it is left out.
const EPS: f32 = 1e-2;

/// `linear_rms_norm_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Rows of x.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
    /// Whether a residual is added.
    pub residual: bool,
    /// As two operations.
    pub apart: bool,
}

/// `linear_rms_norm_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Rows of the gradient.
    pub rows: usize,
    /// Normalised features.
    pub width: usize,
    /// Output features.
    pub outer: usize,
    /// Whether `d_x` is added to.
    pub accumulate: bool,
    /// As two operations.
    pub apart: bool,
}

printed!(Forward, Backward);

/// A sum of `terms` products, whose error the norm multiplies by up to `1 / sqrt(EPS)`.
fn roundings(terms: usize, width: usize) -> f64 {
    12.0 + 4.0 * (terms as f64).sqrt() + 0.25 * (width as f64).sqrt()
}

/// A matrix that leaves numbers of the size of its operand's.
fn matrix(seed: u64, outer: usize, inner: usize, terms: usize) -> Vec<f32> {
    let scale = 1.0 / (terms.max(1) as f32).sqrt();
    normals(seed, outer * inner).into_iter().map(|x| scale * x).collect()
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "linear_rms_norm_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let Self { rows, inner, outer, .. } = *self;
        let mut args = vec![
            format.input("x", normals(1, rows * inner)),
            format.input("weight", matrix(2, outer, inner, inner)),
            format.input("gain", gaussians(3, outer, 1.0, 0.5)),
            format.overwritten("out", rows * outer),
            format.overwritten("normed", rows * outer),
            Arg::overwritten("inv_rms", rows),
        ];
        if self.residual {
            args.push(format.input("residual", normals(4, rows * outer)));
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, inner, outer, apart, .. } = *self;
        let (x, weight, gain, out, normed, inv_rms) = (&b[0], &b[1], &b[2], &b[3], &b[4], &b[5]);
        let (residual, eps) = (b.get(6), EPS);
        if !apart {
            return device.linear_rms_norm_forward(&LinearRmsNormForward {
                x,
                weight,
                residual,
                gain,
                out,
                normed,
                inv_rms,
                rows,
                inner,
                outer,
                eps,
            });
        }
        device.linear_forward(&LinearForward { x, weight, residual, out, rows, inner, outer })?;
        device.rms_norm_forward(&RmsNormForward {
            x: out,
            residual: None,
            weight: gain,
            out: normed,
            inv_rms,
            rows,
            width: outer,
            eps,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let [x, weight, gain] = ["x", "weight", "gain"].map(|name| inputs.numbers(name));
        let mut out = linear::forward(&x, &weight, self.inner);
        if self.residual {
            out = accumulated(rounding.all(out), &inputs.numbers("residual"));
        }
        let (normed, inv_rms) = rms_norm::forward(&rounding.all(out.clone()), &gain, EPS as f64);
        let allowed = roundings(self.inner, self.outer);
        [out, normed, inv_rms].map(|values| Expected::new(values, allowed)).into()
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "linear_rms_norm_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let Self { rows, width, outer, accumulate, .. } = *self;
        let (x, gain) = (normals(3, rows * width), gaussians(4, width, 1.0, 0.5));
        let [x, gain] = [x, gain].map(|v| format.stored(v));
        let (_, inv_rms) = rms_norm::forward(&widen(&x), &widen(&gain), EPS as f64);
        vec![
            format.input("d_out", normals(1, rows * outer)),
            format.input("weight", matrix(2, outer, width, outer)),
            format.input("x", x),
            format.input("gain", gain),
            Arg::input("inv_rms", narrow(&inv_rms)),
            match accumulate {
                true => format.updated("d_x", normals(5, rows * width)),
                false => format.overwritten("d_x", rows * width),
            },
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, width, outer, accumulate, apart } = *self;
        let (d_out, weight, x, gain, inv_rms, d_x) = (&b[0], &b[1], &b[2], &b[3], &b[4], &b[5]);
        if !apart {
            return device.linear_rms_norm_backward(&LinearRmsNormBackward {
                d_out,
                weight,
                x,
                gain,
                inv_rms,
                d_x,
                accumulate,
                rows,
                width,
                outer,
            });
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
        device.rms_norm_backward(&RmsNormBackward {
            d_out: &d,
            x,
            weight: gain,
            inv_rms,
            d_x: Some(d_x),
            accumulate,
            d_weight: None,
            rows,
            width,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let [d_out, weight, x, gain] =
            ["d_out", "weight", "x", "gain"].map(|name| inputs.numbers(name));
        let d = rounding.all(linear::backward_input(&d_out, &weight, self.width));
        let (mut d_x, _) = rms_norm::backward(&d, &x, &gain, EPS as f64);
        if self.accumulate {
            d_x = accumulated(rounding.all(d_x), &inputs.numbers("d_x"));
        }
        vec![Expected::new(d_x, roundings(self.outer, self.width))]
    }

    /// The gradient of `d_out . (norm(x) weight^T)`.
    fn derivative(&self) -> Option<Derivative<'_>> {
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let [d_out, weight, x, gain] =
            ["d_out", "weight", "x", "gain"].map(|name| inputs.numbers(name));
        let d = linear::backward_input(&d_out, &weight, self.width);
        let (d_x, _) = rms_norm::backward(&d, &x, &gain, EPS as f64);
        let value = move |at: &[Vec<f64>]| {
            let (normed, _) = rms_norm::forward(&at[0], &gain, EPS as f64);
            dot(&linear::forward(&normed, &weight, self.width), &d_out)
        };
        Some(Derivative { at: vec![x], value: Box::new(value), gradients: vec![d_x] })
    }
}
