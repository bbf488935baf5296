//! What depends on z: everything from the latent attention of layer 0 to the loss. Without
//! latents, everything that the prefix leaves.

use std::ops::Range;

use ltm_autograd::ops::{
    FeedForwardArgs, LatentBlockArgs, LinearArgs, LinearCrossEntropyArgs, Queries,
};
use ltm_autograd::{GradientMode, Program, Result, Tape, Var};
use ltm_engine::DType;

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
    for layer in 0..model.layers {
        if layer > 0 {
            h = self_attention(&mut t, &mut b, model, layout, shape, layer, h)?;
            tap(&mut t, &format!("layer{layer}.self"), h);
        }
        let gain = layout.layer(layer).ffn_norm.clone();
        let n = match layout.layer(layer).cross {
            Some(cross) => {
                let z = latents_of_layer(&mut t, &mut b, model, shape, layer, latents);
                let n;
                let ranges = (cross, gain);
                (h, n) = cross_attention(&mut t, &mut b, model, ranges, shape, layer, (h, z))?;
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

/// The latents of one layer, a contiguous part of the layer-major z.
fn latents_of_layer(
    t: &mut Tape,
    b: &mut Bindings,
    model: &ModelConfig,
    shape: BatchShape,
    layer: usize,
    gradient: bool,
) -> Var {
    let len = shape.batch * model.latents_per_layer() * model.dim;
    let range = layer * len..(layer + 1) * len;
    match gradient {
        true => {
            let mode = GradientMode::Overwrite;
            b.variable(t, Slot::Latents, Slot::LatentsGradient, range, mode)
        }
        false => b.constant(t, t.storage(), Slot::Latents, range),
    }
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
    (h, z): (Var, Var),
) -> Result<(Var, Var)> {
    let (d, eps) = (model.dim, model.norm_eps as f32);
    let queries = if layer == 0 {
        let slots = (Slot::PrefixQueries, Slot::PrefixQueriesGradient);
        Queries::Given(prefix_output(t, b, slots, shape.rows() * d))
    } else {
        let gain = b.weight(t, ranges.norm);
        let x = t.rms_norm(h, gain, eps)?;
        Queries::Product { x, weight: b.weight(t, ranges.q) }
    };
    let weight = b.weight(t, ranges.kv);
    let kv = t.linear(LinearArgs { x: z, weight, residual: None, inner: d, outer: 2 * d })?;
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
