//! Matrix products and the loss.

use ltm_engine::ops::{
    GroupedLinearBackwardInput, GroupedLinearForward, Groups, LinearBackwardInput,
    LinearBackwardWeight, LinearCrossEntropy, LinearForward,
};

use super::Setting;
use super::arguments::{Cases, tokens};
use crate::Result;

/// A linear map of the model.
struct Map {
    of: &'static str,
    rows: usize,
    inner: usize,
    outer: usize,
    /// Whether a residual is added to its result.
    residual: bool,
}

pub(super) fn measure(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let (model, rows) = (setting.model, setting.shape.rows());
    let (d, f) = (model.dim, model.ffn_dim());
    let latents = setting.shape.batch * model.latents_per_layer();
    let map = |of, rows, inner, outer, residual| Map { of, rows, inner, outer, residual };
    let maps = [
        map("qkv", rows, d, 3 * d, false),
        map("attention out", rows, d, d, true),
        map("latent q", rows, d, d, false),
        map("latent kv", latents, d, 2 * d, false),
        map("gate and up", rows, d, 2 * f, false),
        map("down", rows, f, d, true),
    ];
    // Without latents there are none of theirs.
    let maps = || maps.iter().filter(|map| map.rows > 0);
    maps().try_for_each(|map| forward(cases, map))?;
    maps().try_for_each(|map| backward_input(cases, map))?;
    maps().try_for_each(|map| backward_weight(cases, map))?;
    if latents > 0 {
        grouped(cases, &map("all latent kv", latents, d, 2 * d, false), model.layers)?;
    }
    forward(cases, &map("one token", 1, d, 2 * f, false))?;
    loss(cases, setting, false)?;
    loss(cases, setting, true)
}

impl Map {
    fn flops(&self) -> f64 {
        2.0 * self.rows as f64 * self.inner as f64 * self.outer as f64
    }
}

fn forward(cases: &mut Cases<'_>, map: &Map) -> Result<()> {
    let Map { rows, inner, outer, .. } = *map;
    cases.measure("linear_forward", map.of, map.flops(), |b| {
        let (x, weight) = (b.stored(rows * inner)?, b.stored(outer * inner)?);
        let residual = if map.residual { Some(b.stored(rows * outer)?) } else { None };
        let out = b.stored(rows * outer)?;
        Ok(Box::new(move |device| {
            device.linear_forward(&LinearForward {
                x: &x,
                weight: &weight,
                residual: residual.as_ref(),
                out: &out,
                rows,
                inner,
                outer,
            })
        }))
    })
}

fn backward_input(cases: &mut Cases<'_>, map: &Map) -> Result<()> {
    let Map { rows, inner, outer, .. } = *map;
    cases.measure("linear_backward_input", map.of, map.flops(), |b| {
        let (d_out, weight) = (b.stored(rows * outer)?, b.stored(outer * inner)?);
        let d_x = b.stored(rows * inner)?;
        Ok(Box::new(move |device| {
            device.linear_backward_input(&LinearBackwardInput {
                d_out: &d_out,
                weight: &weight,
                d_x: &d_x,
                accumulate: false,
                rows,
                inner,
                outer,
            })
        }))
    })
}

/// One map for each layer, all in one call. The weights of a model lie further apart.
fn grouped(cases: &mut Cases<'_>, map: &Map, count: usize) -> Result<()> {
    let Map { of, rows, inner, outer, .. } = *map;
    let groups = Groups { count, weight_stride: outer * inner };
    let (weights, flops) = (groups.weights_len(outer * inner), count as f64 * map.flops());
    cases.measure("grouped_linear_forward", of, flops, |b| {
        let (x, weight) = (b.stored(count * rows * inner)?, b.stored(weights)?);
        let out = b.stored(count * rows * outer)?;
        Ok(Box::new(move |device| {
            let (x, weight, out) = (&x, &weight, &out);
            let args = GroupedLinearForward { x, weight, out, groups, rows, inner, outer };
            device.grouped_linear_forward(&args)
        }))
    })?;
    cases.measure("grouped_linear_backward_input", of, flops, |b| {
        let (d_out, weight) = (b.stored(count * rows * outer)?, b.stored(weights)?);
        let d_x = b.stored(count * rows * inner)?;
        Ok(Box::new(move |device| {
            let (d_out, weight, d_x) = (&d_out, &weight, &d_x);
            let args =
                GroupedLinearBackwardInput { d_out, weight, d_x, groups, rows, inner, outer };
            device.grouped_linear_backward_input(&args)
        }))
    })
}

fn backward_weight(cases: &mut Cases<'_>, map: &Map) -> Result<()> {
    let Map { rows, inner, outer, .. } = *map;
    cases.measure("linear_backward_weight", map.of, map.flops(), |b| {
        let (d_out, x) = (b.stored(rows * outer)?, b.stored(rows * inner)?);
        let d_weight = b.updated(outer * inner)?;
        Ok(Box::new(move |device| {
            device.linear_backward_weight(&LinearBackwardWeight {
                d_out: &d_out,
                x: &x,
                d_weight: &d_weight,
                rows,
                inner,
                outer,
            })
        }))
    })
}

/// The logits, and the gradient of the hidden state from them; with the weights' gradient a third
/// product.
fn loss(cases: &mut Cases<'_>, setting: &Setting<'_>, with_weight: bool) -> Result<()> {
    let (rows, width) = (setting.shape.rows(), setting.model.dim);
    let vocab = setting.model.vocab_size;
    let product = 2.0 * rows as f64 * width as f64 * vocab as f64;
    let (of, products) = if with_weight { ("with weights", 3.0) } else { ("", 2.0) };
    cases.measure("linear_cross_entropy", of, products * product, |b| {
        let (hidden, weight) = (b.stored(rows * width)?, b.stored(vocab * width)?);
        let targets = b.integers(&tokens(rows, vocab))?;
        let (token_nll, logsumexp) = (b.floats(rows)?, b.floats(rows)?);
        let d_hidden = b.stored(rows * width)?;
        let d_weight = if with_weight { Some(b.updated(vocab * width)?) } else { None };
        Ok(Box::new(move |device| {
            device.linear_cross_entropy(&LinearCrossEntropy {
                hidden: &hidden,
                weight: &weight,
                targets: &targets,
                token_nll: &token_nll,
                logsumexp: &logsumexp,
                d_hidden: Some(&d_hidden),
                d_weight: d_weight.as_ref(),
                scale: 1.0,
                rows,
                width,
                vocab,
            })
        }))
    })
}
