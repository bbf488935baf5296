//! Attention to earlier tokens and to latents.

use criterion::Criterion;
use ltm_benches::{MODELS, Model, Rig, Work};
use ltm_engine::DType::F32;
use ltm_engine::Ops;
use ltm_engine::ops::{
    KvGradient, LatentAttentionBackward, LatentAttentionForward, LatentAttentionShape,
    WindowAttentionBackward, WindowAttentionDecode, WindowAttentionForward, WindowAttentionShape,
};

use crate::measure;

const THETA: f64 = 10_000.0;

pub fn benches(c: &mut Criterion) {
    for model in &MODELS {
        window_attention(c, model);
        latent_attention(c, model);
    }
}

/// Two products per visible key forward, five backward.
fn window_attention(c: &mut Criterion, model: &Model) {
    let mut rig = Rig::default();
    let Model { batch, seq, heads, window, .. } = *model;
    let head_dim = model.head_dim();
    let shape = WindowAttentionShape { batch, seq, heads, head_dim, window, theta: THETA };
    let (n, product) = (model.rows() * model.width, 2 * model.visible_keys() * model.width);
    let (qkv, d_out) = (&rig.normals(3 * n, 1.0), &rig.normals(n, 1.0));
    let (out, d_qkv) = (&rig.result(F32, n), &rig.result(F32, 3 * n));
    let logsumexp = &rig.result(F32, model.rows() * heads);
    let work = Work::Flops(2 * product);
    measure(c, "window_attention_forward", model, work, &mut rig, |device| {
        device.window_attention_forward(&WindowAttentionForward { qkv, out, logsumexp, shape })
    });
    let work = Work::Flops(5 * product);
    measure(c, "window_attention_backward", model, work, &mut rig, |device| {
        device.window_attention_backward(&WindowAttentionBackward {
            qkv,
            out,
            logsumexp,
            d_out,
            d_qkv,
            shape,
        })
    });

    let shape = WindowAttentionShape { seq: 1, ..shape };
    let (n, ring) = (batch * model.width, batch * window * model.width);
    let (qkv, out) = (&rig.normals(3 * n, 1.0), &rig.result(F32, n));
    let (keys, values) = (&rig.normals(ring, 1.0), &rig.normals(ring, 1.0));
    let work = Work::Elements(2 * ring);
    measure(c, "window_attention_decode", model, work, &mut rig, |device| {
        let position = 2 * window + 1;
        device.window_attention_decode(&WindowAttentionDecode {
            qkv,
            keys,
            values,
            out,
            position,
            shape,
        })
    });
}

/// Extents of the attention to latents.
pub fn latent_shape(model: &Model) -> LatentAttentionShape {
    let Model { batch, seq, heads, latents, .. } = *model;
    LatentAttentionShape {
        batch,
        seq,
        heads,
        head_dim: model.head_dim(),
        latents,
        latent_stride: Some((seq / (latents * model.layers)) as u32),
        first_position: 0,
        theta: THETA,
    }
}

/// Two products per latent forward, five backward; the queries and results dominate.
fn latent_attention(c: &mut Criterion, model: &Model) {
    let mut rig = Rig::default();
    let (batch, latents, shape) = (model.batch, model.latents, latent_shape(model));
    let (n, kv_len) = (model.rows() * model.width, 2 * batch * latents * model.width);
    let product = 2 * n * latents;
    let (q, kv, d_out) = (&rig.normals(n, 1.0), &rig.normals(kv_len, 1.0), &rig.normals(n, 1.0));
    let (out, d_q, d_kv) = (&rig.result(F32, n), &rig.result(F32, n), &rig.result(F32, kv_len));
    let work = Work::Flops(2 * product);
    measure(c, "latent_attention_forward", model, work, &mut rig, |device| {
        device.latent_attention_forward(&LatentAttentionForward { q, kv, out, shape })
    });
    let work = Work::Flops(5 * product);
    measure(c, "latent_attention_backward", model, work, &mut rig, |device| {
        device.latent_attention_backward(&LatentAttentionBackward {
            q,
            kv,
            d_out,
            d_q: Some(d_q),
            accumulate_q: false,
            d_kv: KvGradient::Complete(d_kv),
            shape,
        })
    });
}
