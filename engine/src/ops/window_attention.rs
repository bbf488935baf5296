//! Causal sliding-window attention with rotary positions applied on load.
//!
//! Token `i` sees the keys `max(0, i - window + 1) ..= i`. Scores are scaled by
//! `1 / sqrt(head_dim)`.

use super::check;
use crate::{Buffer, Result};

/// Extents shared by the passes of window attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowAttentionShape {
    /// Sequences.
    pub batch: usize,
    /// Tokens per sequence.
    pub seq: usize,
    /// Heads.
    pub heads: usize,
    /// Numbers per head; even.
    pub head_dim: usize,
    /// Keys that a token sees, itself included; at least 1.
    pub window: usize,
    /// Base of the rotary angles.
    pub theta: f64,
}

impl WindowAttentionShape {
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
        check::positive(op, "window", self.window)
    }
}

/// `out = softmax(rope(q) rope(k)^T / sqrt(head_dim)) v` inside the window.
#[derive(Debug)]
pub struct WindowAttentionForward<'a> {
    /// `[batch, seq, 3, heads, head_dim]` storage: unrotated q, k, v.
    pub qkv: &'a Buffer,
    /// `[batch, seq, heads, head_dim]` storage, overwritten.
    pub out: &'a Buffer,
    /// `[batch, heads, seq]` f32, overwritten: log of the softmax denominator.
    pub logsumexp: &'a Buffer,
    /// Extents.
    pub shape: WindowAttentionShape,
}

impl WindowAttentionForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "window_attention_forward";
        let (s, n) = (&self.shape, self.shape.rows() * self.shape.width());
        s.check(OP)?;
        let t = check::storage(OP, "qkv", self.qkv)?;
        check::buffer(OP, "qkv", self.qkv, t, 3 * n)?;
        check::buffer(OP, "out", self.out, t, n)?;
        check::floats(OP, "logsumexp", self.logsumexp, s.rows() * s.heads)?;
        check::distinct(OP, &[self.out, self.logsumexp], &[self.qkv])
    }
}

/// Gradients with respect to the unrotated q, k and v; scores are recomputed.
#[derive(Debug)]
pub struct WindowAttentionBackward<'a> {
    /// `[batch, seq, 3, heads, head_dim]` storage: unrotated q, k, v.
    pub qkv: &'a Buffer,
    /// `[batch, seq, heads, head_dim]` storage from the forward pass.
    pub out: &'a Buffer,
    /// `[batch, heads, seq]` f32 from the forward pass.
    pub logsumexp: &'a Buffer,
    /// `[batch, seq, heads, head_dim]` storage.
    pub d_out: &'a Buffer,
    /// `[batch, seq, 3, heads, head_dim]` storage, overwritten.
    pub d_qkv: &'a Buffer,
    /// Extents.
    pub shape: WindowAttentionShape,
}

impl WindowAttentionBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "window_attention_backward";
        let (s, n) = (&self.shape, self.shape.rows() * self.shape.width());
        s.check(OP)?;
        let t = check::storage(OP, "qkv", self.qkv)?;
        check::buffer(OP, "qkv", self.qkv, t, 3 * n)?;
        check::buffer(OP, "out", self.out, t, n)?;
        check::floats(OP, "logsumexp", self.logsumexp, s.rows() * s.heads)?;
        check::buffer(OP, "d_out", self.d_out, t, n)?;
        check::buffer(OP, "d_qkv", self.d_qkv, t, 3 * n)?;
        check::distinct(OP, &[self.d_qkv], &[self.qkv, self.out, self.logsumexp, self.d_out])
    }
}

/// One new token per sequence against a ring cache of the last `window` keys and values.
#[derive(Debug)]
pub struct WindowAttentionDecode<'a> {
    /// `[batch, 3, heads, head_dim]` storage: unrotated q, k, v of the new token.
    pub qkv: &'a Buffer,
    /// `[batch, window, heads, head_dim]` storage: rotated keys; slot `position % window` is
    /// written by the call.
    pub keys: &'a Buffer,
    /// `[batch, window, heads, head_dim]` storage: values, written likewise.
    pub values: &'a Buffer,
    /// `[batch, heads, head_dim]` storage, overwritten.
    pub out: &'a Buffer,
    /// Position of the new token; the slots of all earlier ones have been filled by earlier
    /// calls. `shape.seq` is 1.
    pub position: usize,
    /// Extents.
    pub shape: WindowAttentionShape,
}

impl WindowAttentionDecode<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "window_attention_decode";
        let (s, n) = (&self.shape, self.shape.batch * self.shape.width());
        s.check(OP)?;
        check::value(OP, s.seq == 1, || format!("seq is {}, expected 1", s.seq))?;
        let t = check::storage(OP, "qkv", self.qkv)?;
        check::buffer(OP, "qkv", self.qkv, t, 3 * n)?;
        check::buffer(OP, "keys", self.keys, t, n * s.window)?;
        check::buffer(OP, "values", self.values, t, n * s.window)?;
        check::buffer(OP, "out", self.out, t, n)?;
        check::distinct(OP, &[self.out, self.keys, self.values], &[self.qkv])
    }
}
