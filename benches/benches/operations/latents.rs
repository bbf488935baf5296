//! Attention to latents with what the CPU does in one operation behind it.

use criterion::Criterion;
use ltm_benches::{MODELS, Model, Rig, Work};
use ltm_engine::DType::F32;
use ltm_engine::Ops;
use ltm_engine::ops::{
    LatentAttentionLinearBackward, LatentAttentionLinearForward, LatentAttentionSwigluBackward,
    LatentAttentionSwigluForward, LatentAttentionSwigluInputs, LatentAttentionSwigluShape,
};

use crate::attention::latent_shape;
use crate::measure;

pub fn benches(c: &mut Criterion) {
    for model in &MODELS {
        linear(c, model);
        swiglu(c, model);
    }
}

/// A product of all heads' latents by every token, and of each head's by itself.
fn products(model: &Model) -> [usize; 2] {
    let n = model.rows() * model.width;
    [2 * n * model.heads * model.latents, 2 * n * model.latents]
}

fn linear(c: &mut Criterion, model: &Model) {
    let mut rig = Rig::default();
    let (shape, width) = (latent_shape(model), model.width);
    let (n, kv_len) = (model.rows() * width, 2 * model.batch * model.latents * width);
    let [q, residual, d_out] = &[0; 3].map(|_| rig.normals(n, 1.0));
    let (kv, weight) = (&rig.normals(kv_len, 1.0), &rig.normals(width * width, 0.02));
    let (out, d_q, d_kv) = (&rig.result(F32, n), &rig.result(F32, n), &rig.result(F32, kv_len));
    let [wide, narrow] = products(model);
    let work = Work::Flops(wide + narrow);
    measure(c, "latent_attention_linear_forward", model, work, &mut rig, |device| {
        let args = LatentAttentionLinearForward { q, kv, weight, residual, out, shape };
        device.latent_attention_linear_forward(&args)
    });
    let work = Work::Flops(2 * wide + 3 * narrow);
    measure(c, "latent_attention_linear_backward", model, work, &mut rig, |device| {
        device.latent_attention_linear_backward(&LatentAttentionLinearBackward {
            q,
            kv,
            weight,
            d_out,
            d_q: Some(d_q),
            accumulate_q: false,
            d_kv,
            d_weight: None,
            shape,
        })
    });
}

/// As in a fast step, of layer 0.
fn swiglu(c: &mut Criterion, model: &Model) {
    let mut rig = Rig::default();
    let (rows, dim, width) = (model.rows(), model.width, model.hidden);
    let attention = latent_shape(model);
    let shape = LatentAttentionSwigluShape { attention, width, eps: 1e-5 };
    let (n, kv_len) = (rows * dim, 2 * model.batch * model.latents * dim);
    let [q, residual, d_out] = &[0; 3].map(|_| rig.normals(n, 1.0));
    let (kv, weight) = (&rig.normals(kv_len, 1.0), &rig.normals(dim * dim, 0.02));
    let (gain, gate_up_weight) = (&rig.normals(dim, 1.0), &rig.normals(2 * width * dim, 0.02));
    let [base, d_gate_up] = &[0; 2].map(|_| rig.normals(2 * rows * width, 1.0));
    let (out, inv_rms) = (&rig.result(F32, n), &rig.result(F32, rows));
    let (gate_up, hidden) = (&rig.result(F32, 2 * rows * width), &rig.result(F32, rows * width));
    let d_kv = &rig.result(F32, kv_len);
    let inputs =
        LatentAttentionSwigluInputs { q, kv, weight, residual, gain, gate_up_weight, base };
    let [wide, narrow] = products(model);
    let features = wide / dim * 2 * width;
    let work = Work::Flops(wide + narrow + features);
    measure(c, "latent_attention_swiglu_forward", model, work, &mut rig, |device| {
        device.latent_attention_swiglu_forward(&LatentAttentionSwigluForward {
            inputs,
            out,
            inv_rms,
            gate_up,
            hidden,
            shape,
        })
    });
    let work = Work::Flops(2 * wide + 2 * narrow + 2 * features);
    measure(c, "latent_attention_swiglu_backward", model, work, &mut rig, |device| {
        device.latent_attention_swiglu_backward(&LatentAttentionSwigluBackward {
            inputs,
            out,
            inv_rms,
            gate_up,
            d_out,
            d_gate_up,
            d_q: None,
            accumulate_q: false,
            d_kv,
            weights: None,
            shape,
        })
    });
}
