//! What depends on z: everything from the latent attention of layer 0 to the loss. Without
//! latents, everything that the prefix leaves.

use ltm_autograd::ops::{FeedForwardArgs, LinearArgs, LinearCrossEntropyArgs};
use ltm_autograd::{GradientMode, Program, Result, Tape, Var};
use ltm_engine::{DType, Processor};

use super::cross::{KeysAndValues, cross_attention, first_layer};
use super::{BatchShape, Bindings, ParameterLayout, Slot, Tap, splits, window_shape};
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
    /// What computes it.
    pub processor: Processor,
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
    let SuffixArgs { shape, latents, weights, scale, storage, processor } = args;
    let splits = splits(model, processor);
    let (d, rows) = (model.dim, shape.rows());
    let (mut t, mut b) = (Tape::with_storage(storage), Bindings::new(weights));
    let mut h =
        prefix_output(&mut t, &mut b, (Slot::PrefixStream, Slot::PrefixStreamGradient), rows * d);
    let mut kv = KeysAndValues::new(&mut t, &mut b, model, layout, (shape, latents))?;
    for layer in 0..model.layers {
        if layer > 0 {
            h = self_attention(&mut t, &mut b, model, layout, shape, layer, h)?;
            tap(&mut t, &format!("layer{layer}.self"), h);
        }
        let ranges = layout.layer(layer);
        let Some(cross) = ranges.cross else {
            let gain = b.weight(&mut t, ranges.ffn_norm);
            let n = t.rms_norm(h, gain, model.norm_eps as f32)?;
            h = feed_forward(&mut t, &mut b, model, layout, layer, (h, n))?;
            tap(&mut t, &format!("layer{layer}.out"), h);
            continue;
        };
        let kv = kv.of_layer(&mut t, &mut b, layer)?;
        if splits && layer == 0 {
            let [cross, out] = first_layer(&mut t, &mut b, model, layout, shape, (h, kv))?;
            tap(&mut t, "layer0.cross", cross);
            tap(&mut t, "layer0.out", out);
            h = out;
            continue;
        }
        let n;
        let (ranges, at) = ((cross, ranges.ffn_norm), (layer, splits));
        (h, n) = cross_attention(&mut t, &mut b, model, ranges, shape, at, (h, kv))?;
        tap(&mut t, &format!("layer{layer}.cross"), h);
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
pub(super) fn prefix_output(
    t: &mut Tape,
    b: &mut Bindings,
    slots: (Slot, Slot),
    len: usize,
) -> Var {
    match b.trainable() {
        true => b.variable(t, slots.0, slots.1, 0..len, GradientMode::Add),
        false => b.constant(t, t.storage(), slots.0, 0..len),
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
