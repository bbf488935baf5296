//! Linear maps and both of their gradients.

use ltm_engine::ops::{LinearBackwardInput, LinearBackwardWeight, LinearForward};
use ltm_engine::{Buffer, Device, DeviceExt, Result};
use ltm_tests::numbers::{normals, widen};
use ltm_tests::reference::{dot, linear};
use ltm_tests::{Arg, Case, Derivative, Expected, refuses, verify};

use crate::{ROWS, WIDTHS};

#[derive(Clone, Copy, Debug)]
struct Shape {
    rows: usize,
    inner: usize,
    outer: usize,
}

#[derive(Clone, Copy, Debug)]
struct Forward {
    shape: Shape,
    residual: bool,
}

#[derive(Clone, Copy, Debug)]
struct BackwardInput {
    shape: Shape,
    accumulate: bool,
}

#[derive(Clone, Copy, Debug)]
struct BackwardWeight {
    shape: Shape,
}

printed!(Forward, BackwardInput, BackwardWeight);

/// A sum of `terms` products, accumulated in f32.
fn roundings(terms: usize) -> f64 {
    2.0 + 0.5 * (terms as f64).sqrt()
}

fn added(mut product: Vec<f64>, before: &[f32]) -> Vec<f64> {
    product.iter_mut().zip(before).for_each(|(p, b)| *p += *b as f64);
    product
}

impl Shape {
    fn x(&self) -> Vec<f32> {
        normals(1, self.rows * self.inner)
    }

    fn weight(&self) -> Vec<f32> {
        normals(2, self.outer * self.inner)
    }

    /// A residual, or the gradient of the result.
    fn of_out(&self) -> Vec<f32> {
        normals(3, self.rows * self.outer)
    }

    /// `d_out . out`, with its gradients with respect to `x` and `weight`.
    fn derivative(&self) -> Derivative<'_> {
        let [x, weight, d_out] = [self.x(), self.weight(), self.of_out()].map(|v| widen(&v));
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

    fn args(&self) -> Vec<Arg> {
        let mut args = vec![
            Arg::input("x", self.shape.x()),
            Arg::input("weight", self.shape.weight()),
            Arg::overwritten("out", self.shape.rows * self.shape.outer),
        ];
        if self.residual {
            args.push(Arg::input("residual", self.shape.of_out()));
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Shape { rows, inner, outer } = self.shape;
        let (x, weight, out) = (&b[0], &b[1], &b[2]);
        let residual = self.residual.then(|| &b[3]);
        device.linear_forward(&LinearForward { x, weight, residual, out, rows, inner, outer })
    }

    fn expected(&self) -> Vec<Expected> {
        let s = &self.shape;
        let mut out = linear::forward(&widen(&s.x()), &widen(&s.weight()), s.inner);
        if self.residual {
            out = added(out, &s.of_out());
        }
        vec![Expected::new(out, roundings(s.inner))]
    }
}

impl Case for BackwardInput {
    fn op(&self) -> &'static str {
        "linear_backward_input"
    }

    fn args(&self) -> Vec<Arg> {
        let n = self.shape.rows * self.shape.inner;
        vec![
            Arg::input("d_out", self.shape.of_out()),
            Arg::input("weight", self.shape.weight()),
            match self.accumulate {
                true => Arg::updated("d_x", normals(4, n)),
                false => Arg::overwritten("d_x", n),
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

    fn expected(&self) -> Vec<Expected> {
        let mut d_x = self.shape.derivative().gradients.swap_remove(0);
        if self.accumulate {
            let n = d_x.len();
            d_x = added(d_x, &normals(4, n));
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

    fn args(&self) -> Vec<Arg> {
        vec![
            Arg::input("d_out", self.shape.of_out()),
            Arg::input("x", self.shape.x()),
            Arg::updated("d_weight", normals(4, self.shape.outer * self.shape.inner)),
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

    fn expected(&self) -> Vec<Expected> {
        let d_weight = self.shape.derivative().gradients.swap_remove(1);
        let before = normals(4, d_weight.len());
        vec![Expected::new(added(d_weight, &before), roundings(self.shape.rows))]
    }
}

/// Ragged shapes; then more than one block of rows, of columns, and of summed rows.
fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for rows in ROWS {
        for inner in WIDTHS {
            shapes.extend(WIDTHS.map(|outer| Shape { rows, inner, outer }));
        }
    }
    for (rows, inner, outer) in [(1, 1, 1), (300, 40, 513), (260, 300, 7), (601, 6, 96)] {
        shapes.push(Shape { rows, inner, outer });
    }
    shapes.push(Shape { rows: 2049, inner: 5, outer: 3 });
    shapes
}

#[test]
fn forward_is_correct() {
    let cases = |shape| [false, true].map(|residual| Forward { shape, residual });
    verify(shapes().into_iter().flat_map(cases));
}

#[test]
fn backward_input_is_correct() {
    let cases = |shape| [false, true].map(|accumulate| BackwardInput { shape, accumulate });
    verify(shapes().into_iter().flat_map(cases));
}

#[test]
fn backward_weight_is_correct() {
    verify(shapes().into_iter().map(|shape| BackwardWeight { shape }));
}

/// Without rows or columns there is nothing to do, and a sum of no products is zero.
#[test]
fn empty_extents_are_taken() {
    let mut device = ltm_tests::device(2);
    for (rows, inner, outer) in [(0, 6, 5), (6, 5, 0), (6, 0, 5)] {
        let shape = Shape { rows, inner, outer };
        let before = |n| normals(9, n);
        let x = device.alloc_from(&shape.x()).unwrap();
        let weight = device.alloc_from(&shape.weight()).unwrap();
        let residual = device.alloc_from(&shape.of_out()).unwrap();
        let out = device.alloc_from(&before(rows * outer)).unwrap();
        let forward = Forward { shape, residual: true };
        forward.call(&mut device, &[x.clone(), weight, out.clone(), residual.clone()]).unwrap();
        let d_weight = device.alloc_from(&before(outer * inner)).unwrap();
        let gradient = BackwardWeight { shape };
        gradient.call(&mut device, &[residual, x, d_weight.clone()]).unwrap();
        if inner == 0 {
            assert_eq!(device.read::<f32>(&out).unwrap(), shape.of_out());
        }
        if rows == 0 {
            assert_eq!(device.read::<f32>(&d_weight).unwrap(), before(outer * inner));
        }
    }
}

#[test]
fn malformed_calls_are_refused() {
    let shape = Shape { rows: 3, inner: 6, outer: 5 };
    refuses(&Forward { shape, residual: true });
    refuses(&BackwardInput { shape, accumulate: true });
    refuses(&BackwardWeight { shape });
}
