//! The gated activation.

use ltm_engine::ops::{SwigluBackward, SwigluForward};
use ltm_tests::cases::swiglu::{Backward, Forward};
use ltm_tests::{Case, Format, refuses, refuses_value, verify};

use crate::row_shapes;

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
    refuses_value(&case, &case.args(Format::F32));
    let case = Backward { rows: 3, width: 0 };
    refuses_value(&case, &case.args(Format::F32));
}
