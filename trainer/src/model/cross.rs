//! What the latents do in a layer: keys and values of them, and the attention to these.

use std::ops::Range;

use ltm_autograd::ops::{
    GroupedLinearArgs, LatentAttentionLinearArgs, LatentBlockArgs, LatentFeedForwardArgs,
    LinearArgs, Queries,
};
use ltm_autograd::{GradientMode, Result, Tape, Var};
use ltm_engine::ops::Groups;

use super::layout::CrossRanges;
use super::suffix::prefix_output;
use super::{
    BatchShape, Bindings, ParameterLayout, Slot, gate_up_len, latent_shape, latent_swiglu_shape,
};
use crate::config::ModelConfig;

/// Keys and values of every layer.
pub(super) struct KeysAndValues<'a> {
    model: &'a ModelConfig,
    layout: &'a ParameterLayout,
    shape: BatchShape,
    /// Whether z gets a gradient.
    gradient: bool,
    /// Of all layers, where they are made together.
    all: Vec<Var>,
}

impl<'a> KeysAndValues<'a> {
    /// Where no weight is trained, those of all layers are made together: they depend on z alone.
    pub(super) fn new(
        t: &mut Tape,
        b: &mut Bindings,
        model: &'a ModelConfig,
        layout: &'a ParameterLayout,
        (shape, gradient): (BatchShape, bool),
    ) -> Result<Self> {
        let mut made = Self { model, layout, shape, gradient, all: Vec::new() };
        if !b.trainable() && !model.is_autoregressive() {
            made.all = made.together(t, b)?;
        }
        Ok(made)
    }

    /// Those of one layer.
    pub(super) fn of_layer(&mut self, t: &mut Tape, b: &mut Bindings, layer: usize) -> Result<Var> {
        if let Some(kv) = self.all.get(layer) {
            return Ok(*kv);
        }
        let (x, d) = (self.latents(t, b, layer..layer + 1), self.model.dim);
        let weight = b.weight(t, self.weight(layer));
        t.linear(LinearArgs { x, weight, residual: None, inner: d, outer: 2 * d })
    }

    fn together(&self, t: &mut Tape, b: &mut Bindings) -> Result<Vec<Var>> {
        let (d, last) = (self.model.dim, self.model.layers - 1);
        let (first, end) = (self.weight(0), self.weight(last));
        // Layers lie one after the other, all of one size.
        let weight_stride = (end.start - first.start) / last.max(1);
        let groups = Groups { count: self.model.layers, weight_stride };
        let x = self.latents(t, b, 0..self.model.layers);
        let weight = b.weight(t, first.start..end.end);
        t.grouped_linear(GroupedLinearArgs { x, weight, groups, inner: d, outer: 2 * d })
    }

    fn weight(&self, layer: usize) -> Range<usize> {
        self.layout.layer(layer).cross.map_or(0..0, |cross| cross.kv)
    }

    /// Latents of some layers, in the layer-major z.
    fn latents(&self, t: &mut Tape, b: &mut Bindings, layers: Range<usize>) -> Var {
        let len = self.shape.batch * self.model.latents_per_layer() * self.model.dim;
        let range = layers.start * len..layers.end * len;
        match self.gradient {
            true => {
                let mode = GradientMode::Overwrite;
                b.variable(t, Slot::Latents, Slot::LatentsGradient, range, mode)
            }
            false => b.constant(t, t.storage(), Slot::Latents, range),
        }
    }
}

/// The stream behind the latent attention of a layer, and the norm of that for its feed-forward
/// block, whose gain is the second range.
pub(super) fn cross_attention(
    t: &mut Tape,
    b: &mut Bindings,
    model: &ModelConfig,
    (ranges, gain): (CrossRanges, Range<usize>),
    shape: BatchShape,
    (layer, splits): (usize, bool),
    (h, kv): (Var, Var),
) -> Result<(Var, Var)> {
    let (d, eps) = (model.dim, model.norm_eps as f32);
    let queries = if layer == 0 {
        Queries::Given(first_queries(t, b, shape.rows() * d))
    } else {
        let gain = b.weight(t, ranges.norm);
        let x = t.rms_norm(h, gain, eps)?;
        Queries::Product { x, weight: b.weight(t, ranges.q) }
    };
    let (out_weight, gain) = (b.weight(t, ranges.out), b.weight(t, gain));
    let (residual, shape) = (h, latent_shape(model, shape));
    if !splits {
        let args = LatentBlockArgs { queries, kv, out_weight, residual, gain, eps, shape };
        return t.latent_block(args);
    }
    let q = match queries {
        Queries::Given(q) => q,
        Queries::Product { x, weight } => {
            t.linear(LinearArgs { x, weight, residual: None, inner: d, outer: d })?
        }
    };
    let args = LatentAttentionLinearArgs { q, kv, weight: out_weight, residual, shape };
    let out = t.latent_attention_linear(args)?;
    Ok((out, t.rms_norm(out, gain, eps)?))
}

/// The queries of layer 0.
fn first_queries(t: &mut Tape, b: &mut Bindings, len: usize) -> Var {
    prefix_output(t, b, (Slot::PrefixQueries, Slot::PrefixQueriesGradient), len)
}

/// What follows the prefix in layer 0, from the product that the prefix has made of its stream:
/// the stream behind the latent attention, and behind the layer.
pub(super) fn first_layer(
    t: &mut Tape,
    b: &mut Bindings,
    model: &ModelConfig,
    layout: &ParameterLayout,
    shape: BatchShape,
    (h, kv): (Var, Var),
) -> Result<[Var; 2]> {
    let (d, ranges) = (model.dim, layout.layer(0));
    let out = ranges.cross.map_or(0..0, |cross| cross.out);
    let q = first_queries(t, b, shape.rows() * d);
    let slots = (Slot::PrefixGateUp, Slot::PrefixGateUpGradient);
    let base = prefix_output(t, b, slots, gate_up_len(model, shape));
    let extents = latent_swiglu_shape(model, shape);
    let (weight, shape) = (b.weight(t, out), extents.attention);
    let gain = b.weight(t, ranges.ffn_norm);
    let (gate_up, down) = (b.weight(t, ranges.gate_up), b.weight(t, ranges.down));
    t.latent_feed_forward(LatentFeedForwardArgs {
        attention: LatentAttentionLinearArgs { q, kv, weight, residual: h, shape },
        gain,
        gate_up,
        down,
        base,
        width: extents.width,
        eps: extents.eps,
    })
}
