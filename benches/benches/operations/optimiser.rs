//! The update of all parameters.

use criterion::Criterion;
use ltm_benches::{MODELS, Rig, Work};
use ltm_engine::DType::F64;
use ltm_engine::Ops;
use ltm_engine::ops::{AdamW, AdamWSegment, GlobalNorm};

use crate::measure;

pub fn benches(c: &mut Criterion) {
    for model in &MODELS {
        let mut rig = Rig::default();
        let n = model.parameters();
        let (params, gradients) = (&rig.normals(n, 0.02), &rig.normals(n, 1e-3));
        let (first_moment, second_moment) = (&rig.normals(n, 1e-3), &rig.positive(n));
        let (out, step) = (&rig.result(F64, 2), &rig.constants());
        measure(c, "global_norm", model, Work::Elements(n), &mut rig, |device| {
            device.global_norm(&GlobalNorm { gradients, out, limit: 1.0 })
        });
        // Reads four vectors and writes three of them.
        measure(c, "adamw", model, Work::Elements(7 * n), &mut rig, |device| {
            device.adamw(&AdamW {
                params,
                gradients,
                first_moment,
                second_moment,
                copy: None,
                clip: Some(out),
                segments: &[AdamWSegment { offset: 0, len: n, decay: true }],
                step,
            })
        });
    }
}
