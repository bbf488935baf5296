//! Root-mean-square normalisation (Zhang and Sennrich, 2019), with the residual add fused.

use super::check;
use crate::{Buffer, Result};

/// A residual branch that is added before the normalisation.
#[derive(Debug)]
pub struct ResidualAdd<'a> {
    /// `[rows, width]` storage: the branch.
    pub delta: &'a Buffer,
    /// `[rows, width]` storage, overwritten with `x + delta`, which is what is normalised.
    pub sum: &'a Buffer,
}

/// `out = x * inv_rms * weight` with `inv_rms = 1 / sqrt(mean(x^2) + eps)` per row.
#[derive(Debug)]
pub struct RmsNormForward<'a> {
    /// `[rows, width]` storage.
    pub x: &'a Buffer,
    /// Added to `x` first, if given.
    pub residual: Option<ResidualAdd<'a>>,
    /// `[width]` storage gain.
    pub weight: &'a Buffer,
    /// `[rows, width]` storage, overwritten.
    pub out: &'a Buffer,
    /// `[rows]` f32, overwritten; kept for the backward pass.
    pub inv_rms: &'a Buffer,
    /// Rows.
    pub rows: usize,
    /// Numbers per row.
    pub width: usize,
    /// Added to the mean square.
    pub eps: f32,
}

impl RmsNormForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "rms_norm_forward";
        check::positive(OP, "width", self.width)?;
        let n = self.rows * self.width;
        let t = check::storage(OP, "x", self.x)?;
        check::buffer(OP, "x", self.x, t, n)?;
        check::buffer(OP, "weight", self.weight, t, self.width)?;
        check::buffer(OP, "out", self.out, t, n)?;
        check::floats(OP, "inv_rms", self.inv_rms, self.rows)?;
        match &self.residual {
            None => check::distinct(OP, &[self.out, self.inv_rms], &[self.x, self.weight]),
            Some(r) => {
                check::buffer(OP, "delta", r.delta, t, n)?;
                check::buffer(OP, "sum", r.sum, t, n)?;
                let outputs = [self.out, self.inv_rms, r.sum];
                check::distinct(OP, &outputs, &[self.x, self.weight, r.delta])
            }
        }
    }
}

/// With `u = d_out * weight` and `x^ = x * inv_rms`:
/// `d_x = inv_rms * (u - x^ * mean(u * x^))`, `d_weight += sum over rows of d_out * x^`.
#[derive(Debug)]
pub struct RmsNormBackward<'a> {
    /// `[rows, width]` storage.
    pub d_out: &'a Buffer,
    /// `[rows, width]` storage: what was normalised (the sum where a residual was added).
    pub x: &'a Buffer,
    /// `[width]` storage gain.
    pub weight: &'a Buffer,
    /// `[rows]` f32 from the forward pass.
    pub inv_rms: &'a Buffer,
    /// `[rows, width]` storage; not computed if absent.
    pub d_x: Option<&'a Buffer>,
    /// Add to `d_x` (it holds the gradient that passes by on the residual) or overwrite it.
    pub accumulate: bool,
    /// `[width]` f32, added to; not computed if absent.
    pub d_weight: Option<&'a Buffer>,
    /// Rows.
    pub rows: usize,
    /// Numbers per row.
    pub width: usize,
}

impl RmsNormBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "rms_norm_backward";
        check::positive(OP, "width", self.width)?;
        let n = self.rows * self.width;
        let t = check::storage(OP, "x", self.x)?;
        check::buffer(OP, "d_out", self.d_out, t, n)?;
        check::buffer(OP, "x", self.x, t, n)?;
        check::buffer(OP, "weight", self.weight, t, self.width)?;
        check::floats(OP, "inv_rms", self.inv_rms, self.rows)?;
        let mut outputs = Vec::with_capacity(2);
        if let Some(d_x) = self.d_x {
            check::buffer(OP, "d_x", d_x, t, n)?;
            outputs.push(d_x);
        }
        if let Some(d_weight) = self.d_weight {
            check::floats(OP, "d_weight", d_weight, self.width)?;
            outputs.push(d_weight);
        }
        check::distinct(OP, &outputs, &[self.d_out, self.x, self.weight, self.inv_rms])
    }
}
