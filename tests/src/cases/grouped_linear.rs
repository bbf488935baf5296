//! Linear maps of one shape side by side.

use ltm_engine::ops::{GroupedLinearBackwardInput, GroupedLinearForward, Groups};
use ltm_engine::{Buffer, Device, Result};

use crate::numbers::{normals, widen};
use crate::reference::{dot, linear};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// Extents of the maps.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many.
    pub count: usize,
    /// Numbers between the end of one weight and the beginning of the next.
    pub gap: usize,
    /// Rows of each.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
}

/// `grouped_linear_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Extents.
    pub shape: Shape,
}

/// `grouped_linear_backward_input`.
#[derive(Clone, Copy, Debug)]
pub struct BackwardInput {
    /// Extents.
    pub shape: Shape,
}

printed!(Forward, BackwardInput);

impl Shape {
    fn groups(&self) -> Groups {
        Groups { count: self.count, weight_stride: self.outer * self.inner + self.gap }
    }

    fn x(&self) -> Vec<f32> {
        normals(1, self.count * self.rows * self.inner)
    }

    fn weight(&self) -> Vec<f32> {
        normals(2, self.groups().weights_len(self.outer * self.inner))
    }

    fn of_out(&self) -> Vec<f32> {
        normals(3, self.count * self.rows * self.outer)
    }

    /// What `map` makes of each group's part of `of` and its weight, one after the other.
    fn each(
        &self,
        of: (&[f64], usize),
        weight: &[f64],
        map: impl Fn(&[f64], &[f64]) -> Vec<f64>,
    ) -> Vec<f64> {
        let (numbers, len) = (of.0, self.rows * of.1);
        let part = |group: usize| {
            let weight = &weight[group * self.groups().weight_stride..][..self.outer * self.inner];
            map(&numbers[group * len..(group + 1) * len], weight)
        };
        (0..self.count).flat_map(part).collect()
    }

    fn forward(&self, x: &[f64], weight: &[f64]) -> Vec<f64> {
        self.each((x, self.inner), weight, |x, weight| linear::forward(x, weight, self.inner))
    }

    fn backward_input(&self, d_out: &[f64], weight: &[f64]) -> Vec<f64> {
        let of_group =
            |d_out: &[f64], weight: &[f64]| linear::backward_input(d_out, weight, self.inner);
        self.each((d_out, self.outer), weight, of_group)
    }
}

/// A sum of `terms` products, accumulated in f32.
fn roundings(terms: usize) -> f64 {
    2.0 + 0.5 * (terms as f64).sqrt()
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "grouped_linear_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let s = &self.shape;
        vec![
            format.input("x", s.x()),
            format.input("weight", s.weight()),
            format.overwritten("out", s.count * s.rows * s.outer),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Shape { rows, inner, outer, .. } = self.shape;
        device.grouped_linear_forward(&GroupedLinearForward {
            x: &b[0],
            weight: &b[1],
            out: &b[2],
            groups: self.shape.groups(),
            rows,
            inner,
            outer,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let out = self.shape.forward(&inputs.numbers("x"), &inputs.numbers("weight"));
        vec![Expected::new(out, roundings(self.shape.inner))]
    }
}

impl Case for BackwardInput {
    fn op(&self) -> &'static str {
        "grouped_linear_backward_input"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let s = &self.shape;
        vec![
            format.input("d_out", s.of_out()),
            format.input("weight", s.weight()),
            format.overwritten("d_x", s.count * s.rows * s.inner),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Shape { rows, inner, outer, .. } = self.shape;
        device.grouped_linear_backward_input(&GroupedLinearBackwardInput {
            d_out: &b[0],
            weight: &b[1],
            d_x: &b[2],
            groups: self.shape.groups(),
            rows,
            inner,
            outer,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let d_x = self.shape.backward_input(&inputs.numbers("d_out"), &inputs.numbers("weight"));
        vec![Expected::new(d_x, roundings(self.shape.outer))]
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let s = self.shape;
        let [x, weight, d_out] = [s.x(), s.weight(), s.of_out()].map(|v| widen(&v));
        let gradients = vec![s.backward_input(&d_out, &weight)];
        let value = move |at: &[Vec<f64>]| dot(&s.forward(&at[0], &weight), &d_out);
        Some(Derivative { at: vec![x], value: Box::new(value), gradients })
    }
}
