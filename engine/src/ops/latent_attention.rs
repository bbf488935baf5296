//! Cross-attention from tokens to the latent thought vectors of their layer.
//!
//! Every token sees every latent. Queries are rotated by the position of the token, keys by
//! the position of the latent (`m * latent_stride`) or not at all.

use super::check;
use crate::{Buffer, Result};

/// Largest number of latents per layer that an implementation must take.
pub const MAX_LATENTS: usize = 64;

/// Extents shared by the passes of latent attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentAttentionShape {
    /// Sequences.
    pub batch: usize,
    /// Tokens per sequence.
    pub seq: usize,
    /// Heads.
    pub heads: usize,
    /// Numbers per head; even.
    pub head_dim: usize,
    /// Latents per layer, `1..=MAX_LATENTS`.
    pub latents: usize,
    /// Distance of neighbouring latent positions; `None` leaves the keys unrotated.
    pub latent_stride: Option<u32>,
    /// Position of the first token, for decoding one token at a time.
    pub first_position: usize,
    /// Base of the rotary angles.
    pub theta: f64,
}

impl LatentAttentionShape {
    /// `heads * head_dim`.
    pub const fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Tokens in all.
    pub const fn rows(&self) -> usize {
        self.batch * self.seq
    }

    fn check(&self, op: &'static str) -> Result<()> {
        check::value(op, self.head_dim.is_multiple_of(2) && self.head_dim > 0, || {
            format!("head_dim is {}, expected a positive even number", self.head_dim)
        })?;
        check::positive(op, "heads", self.heads)?;
        check::value(op, (1..=MAX_LATENTS).contains(&self.latents), || {
            format!("{} latents per layer, expected 1 to {MAX_LATENTS}", self.latents)
        })
    }
}

/// `out = softmax(rope(q) rope(k)^T / sqrt(head_dim)) v` over the latents.
#[derive(Debug)]
pub struct LatentAttentionForward<'a> {
    /// `[batch, seq, heads, head_dim]` storage, unrotated.
    pub q: &'a Buffer,
    /// `[batch, latents, 2, heads, head_dim]` storage: unrotated k, and v.
    pub kv: &'a Buffer,
    /// `[batch, seq, heads, head_dim]` storage, overwritten.
    pub out: &'a Buffer,
    /// Extents.
    pub shape: LatentAttentionShape,
}

impl LatentAttentionForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        self.check_as("latent_attention_forward")
    }

    /// [`Self::check`] in the name of an operation that this is a part of.
    pub(super) fn check_as(&self, op: &'static str) -> Result<()> {
        let (s, n) = (&self.shape, self.shape.rows() * self.shape.width());
        s.check(op)?;
        let t = check::storage(op, "q", self.q)?;
        check::buffer(op, "q", self.q, t, n)?;
        check::buffer(op, "kv", self.kv, t, 2 * s.batch * s.latents * s.width())?;
        check::buffer(op, "out", self.out, t, n)?;
        check::distinct(op, &[self.out], &[self.q, self.kv])
    }
}

/// Gradients with respect to the unrotated q, k and v; weights are recomputed.
#[derive(Debug)]
pub struct LatentAttentionBackward<'a> {
    /// `[batch, seq, heads, head_dim]` storage, unrotated.
    pub q: &'a Buffer,
    /// `[batch, latents, 2, heads, head_dim]` storage: unrotated k, and v.
    pub kv: &'a Buffer,
    /// `[batch, seq, heads, head_dim]` storage.
    pub d_out: &'a Buffer,
    /// `[batch, seq, heads, head_dim]` storage; not computed if absent (in layer 0 nothing below
    /// the queries depends on z).
    pub d_q: Option<&'a Buffer>,
    /// Add to `d_q` or overwrite it.
    pub accumulate_q: bool,
    /// `[batch, latents, 2, heads, head_dim]` storage, overwritten.
    pub d_kv: &'a Buffer,
    /// Extents.
    pub shape: LatentAttentionShape,
}

impl LatentAttentionBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        self.check_as("latent_attention_backward")
    }

    /// [`Self::check`] in the name of an operation that this is a part of.
    pub(super) fn check_as(&self, op: &'static str) -> Result<()> {
        let (s, n) = (&self.shape, self.shape.rows() * self.shape.width());
        let kv = 2 * s.batch * s.latents * s.width();
        s.check(op)?;
        let t = check::storage(op, "q", self.q)?;
        check::buffer(op, "q", self.q, t, n)?;
        check::buffer(op, "kv", self.kv, t, kv)?;
        check::buffer(op, "d_out", self.d_out, t, n)?;
        check::buffer(op, "d_kv", self.d_kv, t, kv)?;
        let inputs = [self.q, self.kv, self.d_out];
        match self.d_q {
            None => check::distinct(op, &[self.d_kv], &inputs),
            Some(d_q) => {
                check::buffer(op, "d_q", d_q, t, n)?;
                check::distinct(op, &[self.d_kv, d_q], &inputs)
            }
        }
    }
}
