//! The gated activation.

use ltm_engine::ops::{SwigluBackward, SwigluForward};
use ltm_engine::{Buffer, Device, Result};
use ltm_tests::numbers::{gaussians, normals, widen};
use ltm_tests::reference::{dot, swiglu};
use ltm_tests::{Arg, Case, Derivative, Expected, refuses, refuses_value, verify};

use crate::row_shapes;

/// Those of the exponential, the division and three products.
const ROUNDINGS: f64 = 6.0;

#[derive(Clone, Copy, Debug)]
struct Forward {
    rows: usize,
    width: usize,
}

#[derive(Clone, Copy, Debug)]
struct Backward {
    rows: usize,
    width: usize,
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

    fn args(&self) -> Vec<Arg> {
        vec![
            Arg::input("gate_up", gate_up(self.rows, self.width)),
            Arg::overwritten("out", self.rows * self.width),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, width } = *self;
        device.swiglu_forward(&SwigluForward { gate_up: &b[0], out: &b[1], rows, width })
    }

    fn expected(&self) -> Vec<Expected> {
        let gate_up = widen(&gate_up(self.rows, self.width));
        vec![Expected::new(swiglu::forward(&gate_up, self.width), ROUNDINGS)]
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "swiglu_backward"
    }

    fn args(&self) -> Vec<Arg> {
        let n = self.rows * self.width;
        vec![
            Arg::input("gate_up", gate_up(self.rows, self.width)),
            Arg::input("d_out", normals(2, n)),
            Arg::overwritten("d_gate_up", 2 * n),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, width } = *self;
        let (gate_up, d_out, d_gate_up) = (&b[0], &b[1], &b[2]);
        device.swiglu_backward(&SwigluBackward { gate_up, d_out, d_gate_up, rows, width })
    }

    fn expected(&self) -> Vec<Expected> {
        let Derivative { gradients, .. } = self.derivative().expect("a gradient");
        gradients.into_iter().map(|g| Expected::new(g, ROUNDINGS)).collect()
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let gate_up = widen(&gate_up(self.rows, self.width));
        let d_out = widen(&normals(2, self.rows * self.width));
        let gradient = swiglu::backward(&gate_up, &d_out, self.width);
        let value = move |at: &[Vec<f64>]| dot(&swiglu::forward(&at[0], self.width), &d_out);
        Some(Derivative { at: vec![gate_up], value: Box::new(value), gradients: vec![gradient] })
    }
}

#[test]
fn forward_is_correct() {
    verify(row_shapes().map(|(rows, width)| Forward { rows, width }));
}

#[test]
fn backward_is_correct() {
    verify(row_shapes().map(|(rows, width)| Backward { rows, width }));
}

/// Far out, the gate is 0 or the identity; nothing overflows on the way.
#[test]
fn saturated_gates_stay_finite() {
    let mut device = ltm_tests::device(1);
    use ltm_engine::{DeviceExt, Ops};
    let gates = [-3e38f32, -1e4, -100.0, 100.0, 1e4, 1e30];
    let gate_up: Vec<f32> = gates.into_iter().chain([1.0; 6]).collect();
    let gate_up = device.alloc_from(&gate_up).unwrap();
    let (out, d_out) = (device.alloc_from(&[f32::NAN; 6]), device.alloc_from(&[1.0f32; 6]));
    let (out, d_out) = (out.unwrap(), d_out.unwrap());
    let d_gate_up = device.alloc_from(&[f32::NAN; 12]).unwrap();
    let forward = SwigluForward { gate_up: &gate_up, out: &out, rows: 1, width: 6 };
    device.swiglu_forward(&forward).unwrap();
    assert_eq!(device.read::<f32>(&out).unwrap(), [0.0, 0.0, 0.0, 100.0, 1e4, 1e30]);
    device
        .swiglu_backward(&SwigluBackward {
            gate_up: &gate_up,
            d_out: &d_out,
            d_gate_up: &d_gate_up,
            rows: 1,
            width: 6,
        })
        .unwrap();
    let gradient = device.read::<f32>(&d_gate_up).unwrap();
    assert_eq!(gradient[..6], [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    assert_eq!(gradient[6..], [0.0, 0.0, 0.0, 100.0, 1e4, 1e30]);
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Forward { rows: 3, width: 6 });
    refuses(&Backward { rows: 3, width: 6 });
    let case = Forward { rows: 3, width: 0 };
    refuses_value(&case, &case.args());
    let case = Backward { rows: 3, width: 0 };
    refuses_value(&case, &case.args());
}
