//! Noise, and the next token.

use criterion::Criterion;
use ltm_benches::{MODELS, Rig, Work};
use ltm_engine::DType::{F32, I32};
use ltm_engine::Ops;
use ltm_engine::ops::{Normal, Sample};
use ltm_engine::philox::Stream;

use crate::measure;

pub fn benches(c: &mut Criterion) {
    for model in &MODELS {
        let mut rig = Rig::default();
        let (samples, per_sample) = (model.batch, model.layers * model.latents * model.width);
        let out = &rig.result(F32, samples * per_sample);
        let work = Work::Elements(samples * per_sample);
        measure(c, "normal", model, work, &mut rig, |device| {
            device.normal(&Normal {
                out,
                seed: 1,
                site: 2,
                iteration: 3,
                first_sample: 0,
                samples,
                per_sample,
                mean: 0.0,
                std: 1.0,
            })
        });
        let (rows, vocab) = (model.batch, model.vocab);
        let logits = &rig.normals(rows * vocab, 2.0);
        let tokens = &rig.result(I32, rows);
        measure(c, "sample", model, Work::Elements(rows * vocab), &mut rig, |device| {
            device.sample(&Sample {
                logits,
                tokens,
                rows,
                vocab,
                temperature: 0.8,
                top_k: 50,
                top_p: 0.95,
                stream: Stream { seed: 1, site: 2, sample: 0, iteration: 0 },
                position: 3,
            })
        });
    }
}
