//! Cross-attention from tokens to the latent thought vectors of their layer.
//!
//! Every token sees every latent. Queries are rotated by the position of the token, keys by
//! the position of the latent (`m * latent_stride`) or not at all.

use super::check;
use crate::{Buffer, DType, Result};

/// Largest number of latents per layer that an implementation must take.
pub const MAX_LATENTS: usize = 64;

/// Tokens of a sequence whose contributions to the gradient of keys and values a device may sum up by
/// themselves before it adds these sums.
pub const SUMMED_TOKENS: usize = 256;

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

    /// Numbers of keys and values, and of their gradient.
    pub const fn kv_len(&self) -> usize {
        2 * self.batch * self.latents * self.width()
    }

    /// Numbers of [`KvGradient::Sums`].
    pub const fn sums_len(&self) -> usize {
        self.kv_len() * self.seq.div_ceil(SUMMED_TOKENS)
    }

    pub(super) fn check(&self, op: &'static str) -> Result<()> {
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

/// Where the gradient of keys and values goes.
#[derive(Clone, Copy, Debug)]
pub enum KvGradient<'a> {
    /// `[batch, latents, 2, heads, head_dim]` storage, overwritten.
    Complete(&'a Buffer),
    /// [`LatentAttentionShape::sums_len`] f32 numbers, overwritten with sums over parts of the
    /// tokens, which [`LatentAttentionReduce`] makes the gradient of. How they lie there is the
    /// device's own affair.
    Sums(&'a Buffer),
}

impl KvGradient<'_> {
    /// What is written.
    pub const fn buffer(&self) -> &Buffer {
        match self {
            Self::Complete(buffer) | Self::Sums(buffer) => buffer,
        }
    }

    pub(super) fn check(&self, op: &'static str, t: DType, s: &LatentAttentionShape) -> Result<()> {
        match self {
            Self::Complete(d_kv) => check::buffer(op, "d_kv", d_kv, t, s.kv_len()),
            Self::Sums(sums) => check::floats(op, "sums", sums, s.sums_len()),
        }
    }
}

/// The gradients of keys and values of several attentions of one shape from their
/// [`KvGradient::Sums`].
#[derive(Debug)]
pub struct LatentAttentionReduce<'a> {
    /// `groups` times [`LatentAttentionShape::sums_len`] f32 numbers, one attention after the other.
    pub sums: &'a Buffer,
    /// `[groups, batch, latents, 2, heads, head_dim]` storage, overwritten.
    pub d_kv: &'a Buffer,
    /// Attentions.
    pub groups: usize,
    /// Extents of each.
    pub shape: LatentAttentionShape,
}

impl LatentAttentionReduce<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "latent_attention_reduce";
        self.shape.check(OP)?;
        let t = check::storage(OP, "d_kv", self.d_kv)?;
        check::buffer(OP, "d_kv", self.d_kv, t, self.groups * self.shape.kv_len())?;
        check::floats(OP, "sums", self.sums, self.groups * self.shape.sums_len())?;
        check::distinct(OP, &[self.d_kv], &[self.sums])
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
    /// Of k and v.
    pub d_kv: KvGradient<'a>,
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
        self.d_kv.check(op, t, s)?;
        let inputs = [self.q, self.kv, self.d_out];
        match self.d_q {
            None => check::distinct(op, &[self.d_kv.buffer()], &inputs),
            Some(d_q) => {
                check::buffer(op, "d_q", d_q, t, n)?;
                check::distinct(op, &[self.d_kv.buffer(), d_q], &inputs)
            }
        }
    }
}
