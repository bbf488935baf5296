//! Matrix products: the up projection of the feed-forward block, with and without the norm beside it,
//! and the loss.

use criterion::Criterion;
use ltm_benches::{MODELS, Model, Rig, Work};
use ltm_engine::DType::F32;
use ltm_engine::Ops;
use ltm_engine::ops::{
    GroupedLinearBackwardInput, GroupedLinearForward, Groups, LinearBackwardInput,
    LinearBackwardWeight, LinearCrossEntropy, LinearForward, LinearRmsNormBackward,
    LinearRmsNormForward,
};

use crate::measure;

pub fn benches(c: &mut Criterion) {
    for model in &MODELS {
        linear(c, model);
        grouped_linear(c, model);
        linear_rms_norm(c, model);
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

/// Keys and values of the latents of all layers.
fn grouped_linear(c: &mut Criterion, model: &Model) {
    let mut rig = Rig::default();
    let (rows, inner, outer) = (model.batch * model.latents, model.width, 2 * model.width);
    let groups = Groups { count: model.layers, weight_stride: outer * inner };
    let work = Work::Flops(2 * groups.count * rows * inner * outer);
    let x = &rig.normals(groups.count * rows * inner, 1.0);
    let weight = &rig.normals(groups.weights_len(outer * inner), 0.02);
    let d_out = &rig.normals(groups.count * rows * outer, 1.0);
    let out = &rig.result(F32, groups.count * rows * outer);
    let d_x = &rig.result(F32, groups.count * rows * inner);
    measure(c, "grouped_linear_forward", model, work, &mut rig, |device| {
        let args = GroupedLinearForward { x, weight, out, groups, rows, inner, outer };
        device.grouped_linear_forward(&args)
    });
    measure(c, "grouped_linear_backward_input", model, work, &mut rig, |device| {
        let args = GroupedLinearBackwardInput { d_out, weight, d_x, groups, rows, inner, outer };
        device.grouped_linear_backward_input(&args)
    });
}

/// The down projection with the norm of its result, and the up projection's gradient through the norm
/// of what it reads.
fn linear_rms_norm(c: &mut Criterion, model: &Model) {
    let mut rig = Rig::default();
    let (rows, width, hidden) = (model.rows(), model.width, model.hidden);
    let work = |features| Work::Flops(2 * rows * width * features);
    let n = rows * width;
    let hidden_rows = &rig.normals(rows * hidden, 1.0);
    let down = &rig.normals(width * hidden, 0.02);
    let (stream, gain) = (&rig.normals(n, 1.0), &rig.normals(width, 1.0));
    let [out, normed] = &[0; 2].map(|_| rig.result(F32, n));
    let inv_rms = &rig.positive(rows);
    measure(c, "linear_rms_norm_forward", model, work(hidden), &mut rig, |device| {
        device.linear_rms_norm_forward(&LinearRmsNormForward {
            x: hidden_rows,
            weight: down,
            residual: Some(stream),
            gain,
            out,
            normed,
            inv_rms,
            rows,
            inner: hidden,
            outer: width,
            eps: 1e-5,
        })
    });
    let d_out = &rig.normals(rows * 2 * hidden, 1.0);
    let gate_up = &rig.normals(2 * hidden * width, 0.02);
    let d_x = &rig.result(F32, n);
    measure(c, "linear_rms_norm_backward", model, work(2 * hidden), &mut rig, |device| {
        device.linear_rms_norm_backward(&LinearRmsNormBackward {
            d_out,
            weight: gate_up,
            x: stream,
            gain,
            inv_rms,
            d_x,
            accumulate: false,
            rows,
            width,
            outer: 2 * hidden,
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
