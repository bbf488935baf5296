//! What does not depend on z: the embedding, the self-attention of layer 0, and the queries
//! of its latent attention if there are latents, and, where passes start from it, the product of
//! its stream with gate and up of layer 0. Computed once per batch, whatever the number of
//! fast steps.

use ltm_autograd::ops::LinearArgs;
use ltm_autograd::{Program, Result, Tape};
use ltm_engine::{DType, Processor};

use super::{BatchShape, Bindings, ParameterLayout, Slot, Tap, splits, window_shape};
use crate::config::ModelConfig;

/// A recorded prefix. Its backward segment takes the gradients that all passes of the
/// iteration have summed in [`Slot::PrefixStreamGradient`] and its like: as the prefix is the same in every pass, one backward
/// through it serves them all, exactly.
pub struct Prefix {
    /// Forward: tokens to what passes start from.
    pub program: Program,
    /// Its external values.
    pub bindings: Bindings,
}

/// Records the prefix for `processor`, with or without its backward pass, its values in `storage`.
///
/// # Errors
/// If the extents of the configuration contradict each other.
pub fn record_prefix(
    model: &ModelConfig,
    layout: &ParameterLayout,
    shape: BatchShape,
    (trainable, storage, processor): (bool, DType, Processor),
    tap: Tap<'_>,
) -> Result<Prefix> {
    let (d, rows) = (model.dim, shape.rows());
    let eps = model.norm_eps as f32;
    let ranges = layout.layer(0);
    let (mut t, mut b) = (Tape::with_storage(storage), Bindings::new(trainable));

    let table = b.weight(&mut t, layout.embedding());
    let tokens = b.constant(&mut t, DType::I32, Slot::Tokens, 0..rows);
    let order = b.constant(&mut t, DType::I32, Slot::Order, 0..rows);
    let h = t.embedding(table, tokens, order, d)?;
    tap(&mut t, "embed", h);

    let gain = b.weight(&mut t, ranges.attention_norm);
    let n = t.rms_norm(h, gain, eps)?;
    let weight = b.weight(&mut t, ranges.qkv);
    let qkv = t.linear(LinearArgs { x: n, weight, residual: None, inner: d, outer: 3 * d })?;
    let a = t.window_attention(qkv, window_shape(model, shape))?;
    let weight = b.weight(&mut t, ranges.attention_out);
    let h = t.linear(LinearArgs { x: a, weight, residual: Some(h), inner: d, outer: d })?;
    tap(&mut t, "layer0.self", h);

    let mut outputs = vec![(h, Slot::PrefixStream, Slot::PrefixStreamGradient)];
    if let Some(cross) = ranges.cross {
        let gain = b.weight(&mut t, cross.norm);
        let n = t.rms_norm(h, gain, eps)?;
        let weight = b.weight(&mut t, cross.q);
        let q = t.linear(LinearArgs { x: n, weight, residual: None, inner: d, outer: d })?;
        outputs.push((q, Slot::PrefixQueries, Slot::PrefixQueriesGradient));
    }
    if splits(model, processor) {
        let gain = b.weight(&mut t, ranges.ffn_norm.clone());
        let n = t.rms_norm(h, gain, eps)?;
        let weight = b.weight(&mut t, ranges.gate_up.clone());
        let outer = 2 * model.ffn_dim();
        let gate_up = t.linear(LinearArgs { x: n, weight, residual: None, inner: d, outer })?;
        outputs.push((gate_up, Slot::PrefixGateUp, Slot::PrefixGateUpGradient));
    }
    for &(output, slot, _) in &outputs {
        b.export(&mut t, output, slot);
    }
    if trainable {
        for (output, _, gradient) in outputs {
            b.seed(&mut t, output, gradient);
        }
    }
    Ok(Prefix { program: t.finish()?, bindings: b })
}
