//! The products of a gated feed-forward block with the activation between them:
//! `out = silu(gate) * up` with `[gate, up] = x W^T` (Shazeer, 2020).

use super::check;
use crate::{Buffer, Result};

/// `gate_up = x weight^T`, `out = silu(gate) * up`: [`super::LinearForward`] followed by
/// [`super::SwigluForward`], bit for bit.
#[derive(Debug)]
pub struct LinearSwigluForward<'a> {
    /// `[rows, inner]` storage.
    pub x: &'a Buffer,
    /// `[2 * width, inner]` storage: the rows of gate, then those of up.
    pub weight: &'a Buffer,
    /// `[rows, 2, width]` storage, overwritten: gate, then up.
    pub gate_up: &'a Buffer,
    /// `[rows, width]` storage, overwritten.
    pub out: &'a Buffer,
    /// Rows of `x`.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Hidden features of the feed-forward block.
    pub width: usize,
}

impl LinearSwigluForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "linear_swiglu_forward";
        check::positive(OP, "width", self.width)?;
        let n = self.rows * self.width;
        let t = check::storage(OP, "x", self.x)?;
        check::buffer(OP, "x", self.x, t, self.rows * self.inner)?;
        check::buffer(OP, "weight", self.weight, t, 2 * self.width * self.inner)?;
        check::buffer(OP, "gate_up", self.gate_up, t, 2 * n)?;
        check::buffer(OP, "out", self.out, t, n)?;
        check::distinct(OP, &[self.gate_up, self.out], &[self.x, self.weight])
    }
}

/// With `d = d_out weight`: `d_gate = d * up * silu'(gate)`, `d_up = d * silu(gate)`. The gradient of
/// the block's last product, carried on through the activation: [`super::LinearBackwardInput`]
/// followed by [`super::SwigluBackward`], bit for bit.
#[derive(Debug)]
pub struct LinearSwigluBackward<'a> {
    /// `[rows, outer]` storage.
    pub d_out: &'a Buffer,
    /// `[outer, width]` storage.
    pub weight: &'a Buffer,
    /// `[rows, 2, width]` storage: gate, then up.
    pub gate_up: &'a Buffer,
    /// `[rows, 2, width]` storage, overwritten.
    pub d_gate_up: &'a Buffer,
    /// Rows of `d_out`.
    pub rows: usize,
    /// Hidden features of the feed-forward block.
    pub width: usize,
    /// Output features.
    pub outer: usize,
}

impl LinearSwigluBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "linear_swiglu_backward";
        check::positive(OP, "width", self.width)?;
        let n = self.rows * self.width;
        let t = check::storage(OP, "d_out", self.d_out)?;
        check::buffer(OP, "d_out", self.d_out, t, self.rows * self.outer)?;
        check::buffer(OP, "weight", self.weight, t, self.outer * self.width)?;
        check::buffer(OP, "gate_up", self.gate_up, t, 2 * n)?;
        check::buffer(OP, "d_gate_up", self.d_gate_up, t, 2 * n)?;
        check::distinct(OP, &[self.d_gate_up], &[self.d_out, self.weight, self.gate_up])
    }
}
