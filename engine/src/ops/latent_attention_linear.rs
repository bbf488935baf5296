//! Cross-attention to the latents with the projection behind it:
//! `out = residual + latent_attention(q, kv) weight^T`.
//!
//! Where the latents of all heads are fewer than the numbers of a token, it pays to carry the
//! values of the latents through the projection, and to mix what comes out.

use super::{
    KvGradient, LatentAttentionBackward, LatentAttentionForward, LatentAttentionShape, check,
};
use crate::{Buffer, DType, Result};

/// [`LatentAttentionForward`] followed by [`super::LinearForward`], but for rounding.
#[derive(Debug)]
pub struct LatentAttentionLinearForward<'a> {
    /// `[batch, seq, heads, head_dim]` storage, unrotated.
    pub q: &'a Buffer,
    /// `[batch, latents, 2, heads, head_dim]` storage: unrotated k, and v.
    pub kv: &'a Buffer,
    /// `[width, width]` storage, `width = heads * head_dim`.
    pub weight: &'a Buffer,
    /// `[batch, seq, width]` storage.
    pub residual: &'a Buffer,
    /// `[batch, seq, width]` storage, overwritten.
    pub out: &'a Buffer,
    /// Extents.
    pub shape: LatentAttentionShape,
}

impl LatentAttentionLinearForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        self.check_as("latent_attention_linear_forward")
    }

    /// [`Self::check`] in the name of an operation that this is a part of.
    pub(super) fn check_as(&self, op: &'static str) -> Result<()> {
        let (s, n) = (&self.shape, self.shape.rows() * self.shape.width());
        let Self { q, kv, out, shape, .. } = *self;
        LatentAttentionForward { q, kv, out, shape }.check_as(op)?;
        let t = check::storage(op, "q", q)?;
        check::buffer(op, "weight", self.weight, t, s.width() * s.width())?;
        check::buffer(op, "residual", self.residual, t, n)?;
        check::distinct(op, &[out], &[self.weight, self.residual])
    }
}

/// Gradients with respect to the unrotated q, k and v, and to the projection; the gradient of the
/// residual is `d_out`. The weights of the attention are recomputed.
#[derive(Debug)]
pub struct LatentAttentionLinearBackward<'a> {
    /// `[batch, seq, heads, head_dim]` storage, unrotated.
    pub q: &'a Buffer,
    /// `[batch, latents, 2, heads, head_dim]` storage: unrotated k, and v.
    pub kv: &'a Buffer,
    /// `[width, width]` storage.
    pub weight: &'a Buffer,
    /// `[batch, seq, width]` storage.
    pub d_out: &'a Buffer,
    /// `[batch, seq, heads, head_dim]` storage; not computed if absent.
    pub d_q: Option<&'a Buffer>,
    /// Add to `d_q` or overwrite it.
    pub accumulate_q: bool,
    /// `[batch, latents, 2, heads, head_dim]` storage, overwritten.
    pub d_kv: &'a Buffer,
    /// `[width, width]` f32, added to; not computed if absent.
    pub d_weight: Option<&'a Buffer>,
    /// Extents.
    pub shape: LatentAttentionShape,
}

impl LatentAttentionLinearBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        self.check_as("latent_attention_linear_backward")
    }

    /// [`Self::check`] in the name of an operation that this is a part of.
    pub(super) fn check_as(&self, op: &'static str) -> Result<()> {
        let Self { q, kv, weight, d_out, d_q, accumulate_q, d_kv, shape, .. } = *self;
        LatentAttentionBackward {
            q,
            kv,
            d_out,
            d_q,
            accumulate_q,
            d_kv: KvGradient::Complete(d_kv),
            shape,
        }
        .check_as(op)?;
        let t = check::storage(op, "q", q)?;
        let n = shape.width() * shape.width();
        check::buffer(op, "weight", weight, t, n)?;
        let inputs = [q, kv, weight, d_out];
        let mut outputs = vec![d_kv];
        outputs.extend(d_q);
        if let Some(d_weight) = self.d_weight {
            check::buffer(op, "d_weight", d_weight, DType::F32, n)?;
            outputs.push(d_weight);
        }
        check::distinct(op, &outputs, &inputs)
    }
}
