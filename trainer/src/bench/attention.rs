//! Both attentions.

use ltm_engine::ops::{
    KvGradient, LatentAttentionBackward, LatentAttentionForward, WindowAttentionBackward,
    WindowAttentionDecode, WindowAttentionForward, WindowAttentionShape,
};

use super::Setting;
use super::arguments::Cases;
use crate::Result;
use crate::model::{latent_shape, window_shape};
use crate::plan::window_pairs;

pub(super) fn measure(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    window(cases, setting)?;
    decode(cases, setting)?;
    if setting.model.is_autoregressive() {
        return Ok(());
    }
    latent(cases, setting)
}

fn window(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let shape = window_shape(setting.model, setting.shape);
    let (n, statistics) = (shape.rows() * shape.width(), shape.rows() * shape.heads);
    let pairs = shape.batch as f64 * window_pairs(shape.seq, shape.window);
    let product = 2.0 * pairs * shape.width() as f64;
    cases.measure("window_attention_forward", "", 2.0 * product, |b| {
        let (qkv, out, logsumexp) = (b.stored(3 * n)?, b.stored(n)?, b.floats(statistics)?);
        Ok(Box::new(move |device| {
            let (qkv, out, logsumexp) = (&qkv, &out, &logsumexp);
            device.window_attention_forward(&WindowAttentionForward { qkv, out, logsumexp, shape })
        }))
    })?;
    cases.measure("window_attention_backward", "", 5.0 * product, |b| {
        let (qkv, out, d_out) = (b.stored(3 * n)?, b.stored(n)?, b.stored(n)?);
        let (logsumexp, d_qkv) = (b.floats(statistics)?, b.stored(3 * n)?);
        Ok(Box::new(move |device| {
            device.window_attention_backward(&WindowAttentionBackward {
                qkv: &qkv,
                out: &out,
                logsumexp: &logsumexp,
                d_out: &d_out,
                d_qkv: &d_qkv,
                shape,
            })
        }))
    })
}

/// One token of one sequence at the end of a window that is full.
fn decode(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let training = window_shape(setting.model, setting.shape);
    let shape = WindowAttentionShape { batch: 1, seq: 1, ..training };
    let (n, position) = (shape.width(), shape.window);
    let product = 2.0 * (shape.window * n) as f64;
    cases.measure("window_attention_decode", "one token", 2.0 * product, |b| {
        let (keys, values) = (b.stored(n * shape.window)?, b.stored(n * shape.window)?);
        let (qkv, out) = (b.stored(3 * n)?, b.stored(n)?);
        Ok(Box::new(move |device| {
            device.window_attention_decode(&WindowAttentionDecode {
                qkv: &qkv,
                keys: &keys,
                values: &values,
                out: &out,
                position,
                shape,
            })
        }))
    })
}

fn latent(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let shape = latent_shape(setting.model, setting.shape);
    let n = shape.rows() * shape.width();
    let latents = 2 * shape.batch * shape.latents * shape.width();
    let product = 2.0 * shape.rows() as f64 * (shape.latents * shape.width()) as f64;
    cases.measure("latent_attention_forward", "", 2.0 * product, |b| {
        let (q, kv, out) = (b.stored(n)?, b.stored(latents)?, b.stored(n)?);
        Ok(Box::new(move |device| {
            let (q, kv, out) = (&q, &kv, &out);
            device.latent_attention_forward(&LatentAttentionForward { q, kv, out, shape })
        }))
    })?;
    cases.measure("latent_attention_backward", "", 5.0 * product, |b| {
        let (q, kv, d_out) = (b.stored(n)?, b.stored(latents)?, b.stored(n)?);
        let (d_q, d_kv) = (b.stored(n)?, b.stored(latents)?);
        Ok(Box::new(move |device| {
            device.latent_attention_backward(&LatentAttentionBackward {
                q: &q,
                kv: &kv,
                d_out: &d_out,
                d_q: Some(&d_q),
                accumulate_q: false,
                d_kv: KvGradient::Complete(&d_kv),
                shape,
            })
        }))
    })
}
