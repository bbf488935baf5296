//! What depends on z: everything from the latent attention of layer 0 to the loss. Without
//! latents, everything that the prefix leaves.

use std::ops::Range;

use ltm_autograd::ops::{
    FeedForwardArgs, GroupedLinearArgs, LatentBlockArgs, LinearArgs, LinearCrossEntropyArgs,
    Queries,
};
use ltm_autograd::{GradientMode, Program, Result, Tape, Var};
use ltm_engine::DType;
use ltm_engine::ops::Groups;

use super::layout::CrossRanges;
use super::{BatchShape, Bindings, ParameterLayout, Slot, Tap, latent_shape, window_shape};
use crate::config::ModelConfig;

/// Which gradients a pass wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuffixArgs {
    /// Sequences and tokens.
    pub shape: BatchShape,
    /// Gradient with respect to z, into [`Slot::LatentsGradient`]; none where there are no latents.
    pub latents: bool,
    /// Gradients with respect to the weights and the prefix, added.
    pub weights: bool,
    /// The gradients are those of `scale * sum(token nll)`.
    pub scale: f32,
    /// Type of activations, weights and z: f32 or bf16.
    pub storage: DType,
}

/// A recorded pass.
pub struct Suffix {
    /// Prefix outputs and z to losses and gradients.
    pub program: Program,
    /// Its external values.
    pub bindings: Bindings,
}

/// Records a pass from the prefix and z to the loss.
///
/// # Errors
/// If the extents of the configuration contradict each other.
pub fn record_suffix(
    model: &ModelConfig,
    layout: &ParameterLayout,
    args: SuffixArgs,
    tap: Tap<'_>,
) -> Result<Suffix> {
    let SuffixArgs { shape, latents, weights, scale, storage } = args;
    let (d, rows) = (model.dim, shape.rows());
    let (mut t, mut b) = (Tape::with_storage(storage), Bindings::new(weights));
    let mut h =
        prefix_output(&mut t, &mut b, (Slot::PrefixStream, Slot::PrefixStreamGradient), rows * d);
    let grouped = match weights {
        true => Vec::new(),
        false => keys_and_values(&mut t, &mut b, model, layout, (shape, latents))?,
    };
    for layer in 0..model.layers {
        if layer > 0 {
            h = self_attention(&mut t, &mut b, model, layout, shape, layer, h)?;
            tap(&mut t, &format!("layer{layer}.self"), h);
        }
        let gain = layout.layer(layer).ffn_norm.clone();
        let n = match layout.layer(layer).cross {
            Some(cross) => {
                let kv = match grouped.get(layer) {
                    Some(kv) => *kv,
                    None => keys_and_values_of_layer(
                        &mut t,
                        &mut b,
                        model,
                        cross.kv.clone(),
                        (shape, latents),
                        layer,
                    )?,
                };
                let n;
                let ranges = (cross, gain);
                (h, n) = cross_attention(&mut t, &mut b, model, ranges, shape, layer, (h, kv))?;
                tap(&mut t, &format!("layer{layer}.cross"), h);
                n
            }
            None => {
                let gain = b.weight(&mut t, gain);
                t.rms_norm(h, gain, model.norm_eps as f32)?
            }
        };
        h = feed_forward(&mut t, &mut b, model, layout, layer, (h, n))?;
        tap(&mut t, &format!("layer{layer}.out"), h);
    }
    let gain = b.weight(&mut t, layout.norm());
    let hidden = t.rms_norm(h, gain, model.norm_eps as f32)?;
    tap(&mut t, "norm", hidden);
    let weight = b.weight(&mut t, layout.embedding());
    let targets = b.constant(&mut t, DType::I32, Slot::Targets, 0..rows);
    let token_nll = b.constant(&mut t, DType::F32, Slot::TokenNll, 0..rows);
    let logsumexp = b.constant(&mut t, DType::F32, Slot::LogSumExp, 0..rows);
    t.linear_cross_entropy(LinearCrossEntropyArgs {
        hidden,
        weight,
        targets,
        token_nll,
        logsumexp,
        scale,
        vocab: model.vocab_size,
    })?;
    Ok(Suffix { program: t.finish()?, bindings: b })
}

/// An input from the prefix; its gradient is summed if weights are trained.
fn prefix_output(t: &mut Tape, b: &mut Bindings, slots: (Slot, Slot), len: usize) -> Var {
    match b.trainable() {
        true => b.variable(t, slots.0, slots.1, 0..len, GradientMode::Add),
        false => b.constant(t, t.storage(), slots.0, 0..len),
    }
}

/// Latents of some layers, in the layer-major z.
fn latents_of(
    t: &mut Tape,
    b: &mut Bindings,
    model: &ModelConfig,
    (shape, gradient): (BatchShape, bool),
    layers: Range<usize>,
) -> Var {
    let len = shape.batch * model.latents_per_layer() * model.dim;
    let range = layers.start * len..layers.end * len;
    match gradient {
        true => {
            let mode = GradientMode::Overwrite;
            b.variable(t, Slot::Latents, Slot::LatentsGradient, range, mode)
        }
        false => b.constant(t, t.storage(), Slot::Latents, range),
    }
}

/// Keys and values of a layer whose weights are trained.
fn keys_and_values_of_layer(
    t: &mut Tape,
    b: &mut Bindings,
    model: &ModelConfig,
    range: Range<usize>,
    of: (BatchShape, bool),
    layer: usize,
) -> Result<Var> {
    let (x, d) = (latents_of(t, b, model, of, layer..layer + 1), model.dim);
    let weight = b.weight(t, range);
    t.linear(LinearArgs { x, weight, residual: None, inner: d, outer: 2 * d })
}

/// Keys and values of all layers, made together: they depend on z alone. None without latents.
fn keys_and_values(
    t: &mut Tape,
    b: &mut Bindings,
    model: &ModelConfig,
    layout: &ParameterLayout,
    of: (BatchShape, bool),
) -> Result<Vec<Var>> {
    let (d, last) = (model.dim, model.layers - 1);
    let of_layer = |layer: usize| layout.layer(layer).cross.map(|cross| cross.kv);
    let (Some(first), Some(end)) = (of_layer(0), of_layer(last)) else { return Ok(Vec::new()) };
    // Layers lie one after the other, all of one size.
    let weight_stride = (end.start - first.start) / last.max(1);
    let groups = Groups { count: model.layers, weight_stride };
    let x = latents_of(t, b, model, of, 0..model.layers);
    let weight = b.weight(t, first.start..end.end);
    t.grouped_linear(GroupedLinearArgs { x, weight, groups, inner: d, outer: 2 * d })
}

fn self_attention(
    t: &mut Tape,
    b: &mut Bindings,
    model: &ModelConfig,
    layout: &ParameterLayout,
    shape: BatchShape,
    layer: usize,
    h: Var,
) -> Result<Var> {
    let (d, ranges) = (model.dim, layout.layer(layer));
    let gain = b.weight(t, ranges.attention_norm);
    let n = t.rms_norm(h, gain, model.norm_eps as f32)?;
    let weight = b.weight(t, ranges.qkv);
    let qkv = t.linear(LinearArgs { x: n, weight, residual: None, inner: d, outer: 3 * d })?;
    let a = t.window_attention(qkv, window_shape(model, shape))?;
    let weight = b.weight(t, ranges.attention_out);
    t.linear(LinearArgs { x: a, weight, residual: Some(h), inner: d, outer: d })
}

/// The stream after it, and the norm of that for the feed-forward block.
fn cross_attention(
    t: &mut Tape,
    b: &mut Bindings,
    model: &ModelConfig,
    (ranges, gain): (CrossRanges, Range<usize>),
    shape: BatchShape,
    layer: usize,
    (h, kv): (Var, Var),
) -> Result<(Var, Var)> {
    let eps = model.norm_eps as f32;
    let queries = if layer == 0 {
        let slots = (Slot::PrefixQueries, Slot::PrefixQueriesGradient);
        Queries::Given(prefix_output(t, b, slots, shape.rows() * model.dim))
    } else {
        let gain = b.weight(t, ranges.norm);
        let x = t.rms_norm(h, gain, eps)?;
        Queries::Product { x, weight: b.weight(t, ranges.q) }
    };
    let (out_weight, gain) = (b.weight(t, ranges.out), b.weight(t, gain));
    let (residual, shape) = (h, latent_shape(model, shape));
    t.latent_block(LatentBlockArgs { queries, kv, out_weight, residual, gain, eps, shape })
}

fn feed_forward(
    t: &mut Tape,
    b: &mut Bindings,
    model: &ModelConfig,
    layout: &ParameterLayout,
    layer: usize,
    (h, n): (Var, Var),
) -> Result<Var> {
    let (d, f, ranges) = (model.dim, model.ffn_dim(), layout.layer(layer));
    let (gate_up, down) = (b.weight(t, ranges.gate_up), b.weight(t, ranges.down));
    let residual = Some(h);
    t.feed_forward(FeedForwardArgs { x: n, gate_up, down, residual, inner: d, width: f, outer: d })
}
