//! Root-mean-square normalisation.

use ltm_engine::ops::{ResidualAdd, RmsNormBackward, RmsNormForward};
use ltm_engine::{Buffer, Device, Result};
use ltm_tests::numbers::{gaussians, narrow, normals, widen};
use ltm_tests::reference::{dot, rms_norm};
use ltm_tests::{Arg, Case, Derivative, Expected, refuses, refuses_value, verify};

use crate::row_shapes;

/// Large enough to show if it is left out.
const EPS: f32 = 1e-2;

/// A handful of roundings, and those of the sum over a row.
fn roundings(width: usize) -> f64 {
    4.0 + 0.25 * (width as f64).sqrt()
}

#[derive(Clone, Copy, Debug)]
struct Forward {
    rows: usize,
    width: usize,
    residual: bool,
}

/// Which gradients are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Input,
    AddedInput,
    Weight,
    Both,
}

#[derive(Clone, Copy, Debug)]
struct Backward {
    rows: usize,
    width: usize,
    wanted: Wanted,
}

printed!(Forward, Backward);

impl Forward {
    fn len(&self) -> usize {
        self.rows * self.width
    }

    /// What is normalised, as f32 rounds it.
    fn normalised(&self) -> Vec<f32> {
        let x = normals(1, self.len());
        match self.residual {
            false => x,
            true => x.iter().zip(normals(2, self.len())).map(|(x, d)| x + d).collect(),
        }
    }
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "rms_norm_forward"
    }

    fn args(&self) -> Vec<Arg> {
        let mut args = vec![
            Arg::input("x", normals(1, self.len())),
            Arg::input("weight", gaussians(3, self.width, 1.0, 0.5)),
            Arg::overwritten("out", self.len()),
            Arg::overwritten("inv_rms", self.rows),
        ];
        if self.residual {
            args.push(Arg::input("delta", normals(2, self.len())));
            args.push(Arg::overwritten("sum", self.len()));
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

    fn expected(&self) -> Vec<Expected> {
        let x = widen(&self.normalised());
        let weight = widen(&gaussians(3, self.width, 1.0, 0.5));
        let (out, inv_rms) = rms_norm::forward(&x, &weight, EPS as f64);
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

    fn inputs(&self) -> [Vec<f32>; 3] {
        let n = self.len();
        [normals(1, n), normals(2, n), gaussians(3, self.width, 1.0, 0.5)]
    }

    /// d_x and d_weight, without what was there before.
    fn gradients(&self) -> (Vec<f64>, Vec<f64>) {
        let [d_out, x, weight] = self.inputs().map(|v| widen(&v));
        rms_norm::backward(&d_out, &x, &weight, EPS as f64)
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

    fn args(&self) -> Vec<Arg> {
        let [d_out, x, weight] = self.inputs();
        let (_, inv_rms) = rms_norm::forward(&widen(&x), &widen(&weight), EPS as f64);
        let mut args = vec![
            Arg::input("d_out", d_out),
            Arg::input("x", x),
            Arg::input("weight", weight),
            Arg::input("inv_rms", narrow(&inv_rms)),
        ];
        match self.wanted {
            Wanted::AddedInput => args.push(Arg::updated("d_x", normals(4, self.len()))),
            Wanted::Input | Wanted::Both => args.push(Arg::overwritten("d_x", self.len())),
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

    fn expected(&self) -> Vec<Expected> {
        let (mut d_x, mut d_weight) = self.gradients();
        if self.wanted == Wanted::AddedInput {
            d_x.iter_mut().zip(normals(4, self.len())).for_each(|(d, b)| *d += b as f64);
        }
        d_weight.iter_mut().zip(normals(5, self.width)).for_each(|(d, b)| *d += b as f64);
        let mut expected = Vec::new();
        if self.wants_input() {
            expected.push(Expected::new(d_x, roundings(self.width)));
        }
        if self.wants_weight() {
            expected.push(Expected::new(d_weight, 4.0 + (self.rows as f64).sqrt()));
        }
        expected
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let [d_out, x, weight] = self.inputs().map(|v| widen(&v));
        let value =
            move |at: &[Vec<f64>]| dot(&rms_norm::forward(&at[0], &at[1], EPS as f64).0, &d_out);
        let (d_x, d_weight) = self.gradients();
        let gradients = vec![d_x, d_weight];
        Some(Derivative { at: vec![x, weight], value: Box::new(value), gradients })
    }
}

#[test]
fn forward_is_correct() {
    verify(
        row_shapes().flat_map(|(rows, width)| {
            [false, true].map(|residual| Forward { rows, width, residual })
        }),
    );
}

#[test]
fn backward_is_correct() {
    use Wanted::*;
    verify(row_shapes().flat_map(|(rows, width)| {
        [Input, AddedInput, Weight, Both].map(|wanted| Backward { rows, width, wanted })
    }));
}

#[test]
fn no_rows_are_no_work() {
    verify([Forward { rows: 0, width: 6, residual: true }]);
    verify([Backward { rows: 0, width: 6, wanted: Wanted::Both }]);
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Forward { rows: 3, width: 6, residual: true });
    refuses(&Backward { rows: 3, width: 6, wanted: Wanted::Both });
    let empty = |name| Arg::input(name, vec![]);
    let inv_rms = Arg::input("inv_rms", vec![0.0; 3]);
    let case = Forward { rows: 3, width: 0, residual: false };
    refuses_value(&case, &[empty("x"), empty("weight"), empty("out"), inv_rms.clone()]);
    let case = Backward { rows: 3, width: 0, wanted: Wanted::Input };
    let inputs = [empty("d_out"), empty("x"), empty("weight"), inv_rms, empty("d_x")];
    refuses_value(&case, &inputs);
}
