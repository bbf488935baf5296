//! Gated activation of the feed-forward block: `silu(gate) * up` (Shazeer, 2020).

use super::check;
use crate::{Buffer, Result};

/// `out = silu(gate) * up`.
#[derive(Debug)]
pub struct SwigluForward<'a> {
    /// `[rows, 2, width]` storage: gate, then up.
    pub gate_up: &'a Buffer,
    /// `[rows, width]` storage, overwritten.
    pub out: &'a Buffer,
    /// Rows.
    pub rows: usize,
    /// Hidden features of the feed-forward block.
    pub width: usize,
}

impl SwigluForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "swiglu_forward";
        check::positive(OP, "width", self.width)?;
        let n = self.rows * self.width;
        let t = check::storage(OP, "gate_up", self.gate_up)?;
        check::buffer(OP, "gate_up", self.gate_up, t, 2 * n)?;
        check::buffer(OP, "out", self.out, t, n)?;
        check::distinct(OP, &[self.out], &[self.gate_up])
    }
}

/// `d_gate = d_out * up * silu'(gate)`, `d_up = d_out * silu(gate)`.
#[derive(Debug)]
pub struct SwigluBackward<'a> {
    /// `[rows, 2, width]` storage: gate, then up.
    pub gate_up: &'a Buffer,
    /// `[rows, width]` storage.
    pub d_out: &'a Buffer,
    /// `[rows, 2, width]` storage, overwritten.
    pub d_gate_up: &'a Buffer,
    /// Rows.
    pub rows: usize,
    /// Hidden features of the feed-forward block.
    pub width: usize,
}

impl SwigluBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "swiglu_backward";
        check::positive(OP, "width", self.width)?;
        let n = self.rows * self.width;
        let t = check::storage(OP, "gate_up", self.gate_up)?;
        check::buffer(OP, "gate_up", self.gate_up, t, 2 * n)?;
        check::buffer(OP, "d_out", self.d_out, t, n)?;
        check::buffer(OP, "d_gate_up", self.d_gate_up, t, 2 * n)?;
        check::distinct(OP, &[self.d_gate_up], &[self.gate_up, self.d_out])
    }
}
