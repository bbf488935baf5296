//! Matrix products: the up projection of the feed-forward block, and the loss.

use criterion::Criterion;
use ltm_benches::{MODELS, Model, Rig, Work};
use ltm_engine::DType::F32;
use ltm_engine::Ops;
use ltm_engine::ops::{
    LinearBackwardInput, LinearBackwardWeight, LinearCrossEntropy, LinearForward,
};

use crate::measure;

pub fn benches(c: &mut Criterion) {
    for model in &MODELS {
        linear(c, model);
        linear_cross_entropy(c, model);
    }
}

fn linear(c: &mut Criterion, model: &Model) {
    let mut rig = Rig::default();
    let (rows, inner, outer) = (model.rows(), model.width, 2 * model.hidden);
    let work = Work::Flops(2 * rows * inner * outer);
    let x = &rig.normals(rows * inner, 1.0);
    let weight = &rig.normals(outer * inner, 0.02);
    let d_out = &rig.normals(rows * outer, 1.0);
    let out = &rig.result(F32, rows * outer);
    let d_x = &rig.result(F32, rows * inner);
    let d_weight = &rig.result(F32, outer * inner);
    measure(c, "linear_forward", model, work, &mut rig, |device| {
        let residual = None;
        device.linear_forward(&LinearForward { x, weight, residual, out, rows, inner, outer })
    });
    measure(c, "linear_backward_input", model, work, &mut rig, |device| {
        let accumulate = false;
        device.linear_backward_input(&LinearBackwardInput {
            d_out,
            weight,
            d_x,
            accumulate,
            rows,
            inner,
            outer,
        })
    });
    measure(c, "linear_backward_weight", model, work, &mut rig, |device| {
        device.linear_backward_weight(&LinearBackwardWeight {
            d_out,
            x,
            d_weight,
            rows,
            inner,
            outer,
        })
    });
}

/// The loss alone, with the gradient of a fast step, and with both gradients of a slow step:
/// one, two and three products of tokens by vocabulary.
fn linear_cross_entropy(c: &mut Criterion, model: &Model) {
    let mut rig = Rig::default();
    let (rows, width, vocab) = (model.rows(), model.width, model.vocab);
    let hidden = &rig.normals(rows * width, 1.0);
    let weight = &rig.normals(vocab * width, 0.02);
    let (targets, _) = &rig.tokens(rows, vocab);
    let [token_nll, logsumexp] = &[0; 2].map(|_| rig.result(F32, rows));
    let d_hidden = &rig.result(F32, rows * width);
    let d_weight = &rig.result(F32, vocab * width);
    for (name, products, d_hidden, d_weight) in [
        ("linear_cross_entropy", 1, None, None),
        ("linear_cross_entropy d_hidden", 2, Some(d_hidden), None),
        ("linear_cross_entropy d_hidden d_weight", 3, Some(d_hidden), Some(d_weight)),
    ] {
        let work = Work::Flops(2 * products * rows * width * vocab);
        measure(c, name, model, work, &mut rig, |device| {
            device.linear_cross_entropy(&LinearCrossEntropy {
                hidden,
                weight,
                targets,
                token_nll,
                logsumexp,
                d_hidden,
                d_weight,
                scale: 1.0 / rows as f32,
                rows,
                width,
                vocab,
            })
        });
    }
}
