//! The update of all parameters.

use criterion::Criterion;
use ltm_benches::{MODELS, Rig, Work};
use ltm_engine::DType::F64;
use ltm_engine::Ops;
use ltm_engine::ops::{AdamW, AdamWSegment, AdamWStep, GlobalNorm};

use crate::measure;

pub fn benches(c: &mut Criterion) {
    for model in &MODELS {
        let mut rig = Rig::default();
        let n = model.parameters();
        let (params, gradients) = (&rig.normals(n, 0.02), &rig.normals(n, 1e-3));
        let (first_moment, second_moment) = (&rig.normals(n, 1e-3), &rig.positive(n));
        let out = &rig.result(F64, 2);
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
                step: AdamWStep {
                    lr: 4e-4,
                    beta1: 0.9,
                    beta2: 0.95,
                    eps: 1e-8,
                    weight_decay: 0.1,
                    number: 100,
                },
            })
        });
    }
}
