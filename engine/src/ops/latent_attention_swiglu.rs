//! Cross-attention to the latents and the first half of the feed-forward block behind it, from
//! what is known of the residual stream before there is a z:
//!
//! `out = residual + latent_attention(q, kv) weight^T`,
//! `[gate, up] = rms_norm(out) gate_up_weight^T`, `hidden = silu(gate) * up`.
//!
//! The norm only scales each row, so the product splits into that of the residual, which need
//! not be computed again for every z, and that of the few values which a row mixes.

use super::{
    LatentAttentionLinearBackward, LatentAttentionLinearForward, LatentAttentionShape, check,
};
use crate::{Buffer, DType, Result};

/// Extents shared by the passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentAttentionSwigluShape {
    /// Of the attention.
    pub attention: LatentAttentionShape,
    /// Hidden features of the feed-forward block.
    pub width: usize,
    /// Added to the mean square of a row by the norm.
    pub eps: f32,
}

/// What both passes read.
#[derive(Clone, Copy, Debug)]
pub struct LatentAttentionSwigluInputs<'a> {
    /// `[batch, seq, heads, head_dim]` storage, unrotated.
    pub q: &'a Buffer,
    /// `[batch, latents, 2, heads, head_dim]` storage: unrotated k, and v.
    pub kv: &'a Buffer,
    /// `[dim, dim]` storage, `dim = heads * head_dim`.
    pub weight: &'a Buffer,
    /// `[batch, seq, dim]` storage.
    pub residual: &'a Buffer,
    /// `[dim]` storage: the gain of the norm.
    pub gain: &'a Buffer,
    /// `[2 * width, dim]` storage: the rows of gate, then those of up.
    pub gate_up_weight: &'a Buffer,
    /// `[batch, seq, 2, width]` storage: `rms_norm(residual) gate_up_weight^T`.
    pub base: &'a Buffer,
}

impl<'a> LatentAttentionSwigluInputs<'a> {
    fn all(&self) -> [&'a Buffer; 7] {
        let Self { q, kv, weight, residual, gain, gate_up_weight, base } = *self;
        [q, kv, weight, residual, gain, gate_up_weight, base]
    }

    fn check(&self, op: &'static str, shape: &LatentAttentionSwigluShape) -> Result<DType> {
        check::positive(op, "width", shape.width)?;
        let (rows, dim) = (shape.attention.rows(), shape.attention.width());
        let t = check::storage(op, "q", self.q)?;
        check::buffer(op, "residual", self.residual, t, rows * dim)?;
        check::buffer(op, "gain", self.gain, t, dim)?;
        check::buffer(op, "gate_up_weight", self.gate_up_weight, t, 2 * shape.width * dim)?;
        check::buffer(op, "base", self.base, t, 2 * rows * shape.width)?;
        Ok(t)
    }
}

/// The forward pass. `gate_up`, `inv_rms` and `out` are what the backward pass needs.
#[derive(Debug)]
pub struct LatentAttentionSwigluForward<'a> {
    /// What is read.
    pub inputs: LatentAttentionSwigluInputs<'a>,
    /// `[batch, seq, dim]` storage, overwritten.
    pub out: &'a Buffer,
    /// `[batch, seq]` f32, overwritten: what the norm multiplies the rows of `out` by.
    pub inv_rms: &'a Buffer,
    /// `[batch, seq, 2, width]` storage, overwritten: gate, then up.
    pub gate_up: &'a Buffer,
    /// `[batch, seq, width]` storage, overwritten.
    pub hidden: &'a Buffer,
    /// Extents.
    pub shape: LatentAttentionSwigluShape,
}

impl LatentAttentionSwigluForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "latent_attention_swiglu_forward";
        let (s, out, rows) = (&self.shape, self.out, self.shape.attention.rows());
        let LatentAttentionSwigluInputs { q, kv, weight, residual, .. } = self.inputs;
        let shape = s.attention;
        LatentAttentionLinearForward { q, kv, weight, residual, out, shape }.check_as(OP)?;
        let t = self.inputs.check(OP, s)?;
        check::buffer(OP, "inv_rms", self.inv_rms, DType::F32, rows)?;
        check::buffer(OP, "gate_up", self.gate_up, t, 2 * rows * s.width)?;
        check::buffer(OP, "hidden", self.hidden, t, rows * s.width)?;
        let outputs = [out, self.inv_rms, self.gate_up, self.hidden];
        check::distinct(OP, &outputs, &self.inputs.all())
    }
}

/// Gradients of the weights and of what is known before z, all added to.
#[derive(Clone, Copy, Debug)]
pub struct LatentAttentionSwigluWeights<'a> {
    /// `[dim, dim]` f32.
    pub d_weight: &'a Buffer,
    /// `[dim]` f32.
    pub d_gain: &'a Buffer,
    /// `[2 * width, dim]` f32.
    pub d_gate_up_weight: &'a Buffer,
    /// `[batch, seq, dim]` storage.
    pub d_residual: &'a Buffer,
    /// `[batch, seq, 2, width]` storage.
    pub d_base: &'a Buffer,
}

/// Gradients for those of `out`, as far as it is used by others, and of gate and up.
#[derive(Debug)]
pub struct LatentAttentionSwigluBackward<'a> {
    /// What the forward pass read.
    pub inputs: LatentAttentionSwigluInputs<'a>,
    /// `[batch, seq, dim]` storage, of the forward pass.
    pub out: &'a Buffer,
    /// `[batch, seq]` f32, of the forward pass.
    pub inv_rms: &'a Buffer,
    /// `[batch, seq, 2, width]` storage, of the forward pass.
    pub gate_up: &'a Buffer,
    /// `[batch, seq, dim]` storage.
    pub d_out: &'a Buffer,
    /// `[batch, seq, 2, width]` storage.
    pub d_gate_up: &'a Buffer,
    /// `[batch, seq, heads, head_dim]` storage; not computed if absent.
    pub d_q: Option<&'a Buffer>,
    /// Add to `d_q` or overwrite it.
    pub accumulate_q: bool,
    /// `[batch, latents, 2, heads, head_dim]` storage, overwritten.
    pub d_kv: &'a Buffer,
    /// Not computed if absent.
    pub weights: Option<LatentAttentionSwigluWeights<'a>>,
    /// Extents.
    pub shape: LatentAttentionSwigluShape,
}

impl LatentAttentionSwigluBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "latent_attention_swiglu_backward";
        let Self { out, inv_rms, gate_up, d_out, d_gate_up, d_q, accumulate_q, d_kv, .. } = *self;
        let (s, rows) = (&self.shape, self.shape.attention.rows());
        let (dim, width, shape) = (s.attention.width(), s.width, s.attention);
        let LatentAttentionSwigluInputs { q, kv, weight, .. } = self.inputs;
        let d_weight = self.weights.map(|w| w.d_weight);
        let attention = LatentAttentionLinearBackward {
            q,
            kv,
            weight,
            d_out,
            d_q,
            accumulate_q,
            d_kv,
            d_weight,
            shape,
        };
        attention.check_as(OP)?;
        let t = self.inputs.check(OP, s)?;
        check::buffer(OP, "out", out, t, rows * dim)?;
        check::buffer(OP, "inv_rms", inv_rms, DType::F32, rows)?;
        check::buffer(OP, "gate_up", gate_up, t, 2 * rows * width)?;
        check::buffer(OP, "d_gate_up", d_gate_up, t, 2 * rows * width)?;
        let mut outputs = vec![d_kv];
        outputs.extend(d_q);
        if let Some(w) = self.weights {
            check::buffer(OP, "d_gain", w.d_gain, DType::F32, dim)?;
            check::buffer(OP, "d_gate_up_weight", w.d_gate_up_weight, DType::F32, 2 * width * dim)?;
            check::buffer(OP, "d_residual", w.d_residual, t, rows * dim)?;
            check::buffer(OP, "d_base", w.d_base, t, 2 * rows * width)?;
            let gradients = [w.d_gain, w.d_gate_up_weight, w.d_residual, w.d_base];
            outputs.extend([w.d_weight].into_iter().chain(gradients));
        }
        let mut inputs = self.inputs.all().to_vec();
        inputs.extend([out, inv_rms, gate_up, d_out, d_gate_up]);
        check::distinct(OP, &outputs, &inputs)
    }
}
