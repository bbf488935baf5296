//! Operations row by row: `rms_norm`, `swiglu`, `add`.

use criterion::Criterion;
use ltm_benches::{MODELS, Rig, Work};
use ltm_engine::DType::F32;
use ltm_engine::Ops;
use ltm_engine::ops::{
    Add, ResidualAdd, RmsNormBackward, RmsNormForward, SwigluBackward, SwigluForward,
};

use crate::measure;

pub fn benches(c: &mut Criterion) {
    for model in &MODELS {
        let mut rig = Rig::default();
        let (rows, width, hidden) = (model.rows(), model.width, model.hidden);
        let n = rows * width;
        let (x, delta, d_out) = (rig.normals(n, 1.0), rig.normals(n, 1.0), rig.normals(n, 1.0));
        let weight = rig.normals(width, 1.0);
        let [out, sum, d_x] = [0; 3].map(|_| rig.result(F32, n));
        let inv_rms = rig.positive(rows);
        let d_weight = rig.result(F32, width);
        measure(c, "rms_norm_forward", model, Work::Elements(4 * n), &mut rig, |device| {
            device.rms_norm_forward(&RmsNormForward {
                x: &x,
                residual: Some(ResidualAdd { delta: &delta, sum: &sum }),
                weight: &weight,
                out: &out,
                inv_rms: &inv_rms,
                rows,
                width,
                eps: 1e-5,
            })
        });
        measure(c, "rms_norm_backward", model, Work::Elements(3 * n), &mut rig, |device| {
            device.rms_norm_backward(&RmsNormBackward {
                d_out: &d_out,
                x: &x,
                weight: &weight,
                inv_rms: &inv_rms,
                d_x: Some(&d_x),
                accumulate: false,
                d_weight: Some(&d_weight),
                rows,
                width,
            })
        });
        measure(c, "add", model, Work::Elements(3 * n), &mut rig, |device| {
            device.add(&Add { x: &delta, into: &sum })
        });

        let n = rows * hidden;
        let (gate_up, d_out) = (rig.normals(2 * n, 1.0), rig.normals(n, 1.0));
        let (out, d_gate_up) = (rig.result(F32, n), rig.result(F32, 2 * n));
        measure(c, "swiglu_forward", model, Work::Elements(3 * n), &mut rig, |device| {
            let (gate_up, out) = (&gate_up, &out);
            device.swiglu_forward(&SwigluForward { gate_up, out, rows, width: hidden })
        });
        measure(c, "swiglu_backward", model, Work::Elements(5 * n), &mut rig, |device| {
            device.swiglu_backward(&SwigluBackward {
                gate_up: &gate_up,
                d_out: &d_out,
                d_gate_up: &d_gate_up,
                rows,
                width: hidden,
            })
        });
    }
}
