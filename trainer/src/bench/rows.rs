//! Operations that go row by row or number by number.

use ltm_engine::ops::{
    Add, EmbeddingBackward, EmbeddingForward, ResidualAdd, RmsNormBackward, RmsNormForward, Sample,
    SwigluBackward, SwigluForward,
};
use ltm_engine::philox::Stream;

use super::Setting;
use super::arguments::{Cases, tokens};
use crate::Result;

pub(super) fn measure(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    embedding(cases, setting)?;
    rms_norm(cases, setting)?;
    swiglu(cases, setting)?;
    let n = setting.shape.rows() * setting.model.dim;
    cases.measure("add", "", 0.0, |b| {
        let x = b.stored(n)?;
        let into = b.stored_in_part(n, 2 * n)?;
        Ok(Box::new(move |device| device.add(&Add { x: &x, into: &into })))
    })?;
    sample(cases, setting)
}

fn embedding(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let (rows, width, vocab) = (setting.shape.rows(), setting.model.dim, setting.model.vocab_size);
    let ids = tokens(rows, vocab);
    let mut order: Vec<i32> = (0..rows as i32).collect();
    order.sort_by_key(|&row| ids[row as usize]);
    let mut different = ids.clone();
    different.sort_unstable();
    different.dedup();
    let touched = different.len() * width;

    cases.measure("embedding_forward", "", 0.0, |b| {
        let (table, tokens) = (b.stored_in_part(vocab * width, touched)?, b.integers(&ids)?);
        let out = b.stored(rows * width)?;
        Ok(Box::new(move |device| {
            let (table, tokens, out) = (&table, &tokens, &out);
            device.embedding_forward(&EmbeddingForward { table, tokens, out, rows, width, vocab })
        }))
    })?;
    cases.measure("embedding_backward", "", 0.0, |b| {
        let (tokens, order) = (b.integers(&ids)?, b.integers(&order)?);
        let (d_out, d_table) =
            (b.stored(rows * width)?, b.updated_in_part(vocab * width, touched)?);
        Ok(Box::new(move |device| {
            device.embedding_backward(&EmbeddingBackward {
                d_out: &d_out,
                tokens: &tokens,
                order: &order,
                d_table: &d_table,
                rows,
                width,
                vocab,
            })
        }))
    })
}

fn rms_norm(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let (rows, width) = (setting.shape.rows(), setting.model.dim);
    let (n, eps) = (rows * width, setting.model.norm_eps as f32);
    for of in ["", "with residual"] {
        cases.measure("rms_norm_forward", of, 0.0, |b| {
            let (x, weight) = (b.stored(n)?, b.stored(width)?);
            let (out, inv_rms) = (b.stored(n)?, b.floats(rows)?);
            let added = if of.is_empty() { None } else { Some((b.stored(n)?, b.stored(n)?)) };
            Ok(Box::new(move |device| {
                let added = added.as_ref();
                device.rms_norm_forward(&RmsNormForward {
                    x: &x,
                    residual: added.map(|(delta, sum)| ResidualAdd { delta, sum }),
                    weight: &weight,
                    out: &out,
                    inv_rms: &inv_rms,
                    rows,
                    width,
                    eps,
                })
            }))
        })?;
    }
    for of in ["", "with weight"] {
        cases.measure("rms_norm_backward", of, 0.0, |b| {
            let (d_out, x, weight) = (b.stored(n)?, b.stored(n)?, b.stored(width)?);
            let (inv_rms, d_x) = (b.floats(rows)?, b.stored(n)?);
            let d_weight = if of.is_empty() { None } else { Some(b.updated(width)?) };
            Ok(Box::new(move |device| {
                device.rms_norm_backward(&RmsNormBackward {
                    d_out: &d_out,
                    x: &x,
                    weight: &weight,
                    inv_rms: &inv_rms,
                    d_x: Some(&d_x),
                    accumulate: false,
                    d_weight: d_weight.as_ref(),
                    rows,
                    width,
                })
            }))
        })?;
    }
    Ok(())
}

fn swiglu(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let (rows, width) = (setting.shape.rows(), setting.model.ffn_dim());
    let n = rows * width;
    cases.measure("swiglu_forward", "", 0.0, |b| {
        let (gate_up, out) = (b.stored(2 * n)?, b.stored(n)?);
        Ok(Box::new(move |device| {
            device.swiglu_forward(&SwigluForward { gate_up: &gate_up, out: &out, rows, width })
        }))
    })?;
    cases.measure("swiglu_backward", "", 0.0, |b| {
        let (gate_up, d_out, d_gate_up) = (b.stored(2 * n)?, b.stored(n)?, b.stored(2 * n)?);
        Ok(Box::new(move |device| {
            let (gate_up, d_out, d_gate_up) = (&gate_up, &d_out, &d_gate_up);
            device.swiglu_backward(&SwigluBackward { gate_up, d_out, d_gate_up, rows, width })
        }))
    })
}

/// The next token of one sequence.
fn sample(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let vocab = setting.model.vocab_size;
    cases.measure("sample", "one token", 0.0, |b| {
        let (logits, tokens) = (b.stored(vocab)?, b.integers(&[0])?);
        Ok(Box::new(move |device| {
            device.sample(&Sample {
                logits: &logits,
                tokens: &tokens,
                rows: 1,
                vocab,
                temperature: 0.8,
                top_k: 40,
                top_p: 0.95,
                stream: Stream { seed: 1, site: 1, sample: 0, iteration: 0 },
                position: 0,
            })
        }))
    })
}
