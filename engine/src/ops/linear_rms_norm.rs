//! Linear maps with the root-mean-square normalisation beside them: that of the result forward, and
//! backward that of what the map reads.

use super::check;
use crate::{Buffer, Result};

/// `out = x weight^T (+ residual)`, `inv_rms = 1 / sqrt(mean(out^2) + eps)` per row,
/// `normed = out * inv_rms * gain`: [`super::LinearForward`] followed by [`super::RmsNormForward`],
/// bit for bit.
#[derive(Debug)]
pub struct LinearRmsNormForward<'a> {
    /// `[rows, inner]` storage.
    pub x: &'a Buffer,
    /// `[outer, inner]` storage.
    pub weight: &'a Buffer,
    /// `[rows, outer]` storage, added to the product if given.
    pub residual: Option<&'a Buffer>,
    /// `[outer]` storage.
    pub gain: &'a Buffer,
    /// `[rows, outer]` storage, overwritten.
    pub out: &'a Buffer,
    /// `[rows, outer]` storage, overwritten.
    pub normed: &'a Buffer,
    /// `[rows]` f32, overwritten; kept for the backward pass.
    pub inv_rms: &'a Buffer,
    /// Rows of `x`.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
    /// Added to the mean square.
    pub eps: f32,
}

impl LinearRmsNormForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "linear_rms_norm_forward";
        check::positive(OP, "outer", self.outer)?;
        let n = self.rows * self.outer;
        let t = check::storage(OP, "x", self.x)?;
        check::buffer(OP, "x", self.x, t, self.rows * self.inner)?;
        check::buffer(OP, "weight", self.weight, t, self.outer * self.inner)?;
        check::buffer(OP, "gain", self.gain, t, self.outer)?;
        check::buffer(OP, "out", self.out, t, n)?;
        check::buffer(OP, "normed", self.normed, t, n)?;
        check::floats(OP, "inv_rms", self.inv_rms, self.rows)?;
        let outputs = [self.out, self.normed, self.inv_rms];
        if let Some(residual) = self.residual {
            check::buffer(OP, "residual", residual, t, n)?;
            check::distinct(OP, &outputs, &[residual])?;
        }
        check::distinct(OP, &outputs, &[self.x, self.weight, self.gain])
    }
}

/// With `d = d_out weight`, `u = d * gain` and `x^ = x * inv_rms`:
/// `d_x (+)= inv_rms * (u - x^ * mean(u * x^))`. The gradient of a linear map of normalised rows,
/// carried on through the normalisation: [`super::LinearBackwardInput`] followed by
/// [`super::RmsNormBackward`] without a gradient of the gain, bit for bit.
#[derive(Debug)]
pub struct LinearRmsNormBackward<'a> {
    /// `[rows, outer]` storage.
    pub d_out: &'a Buffer,
    /// `[outer, width]` storage.
    pub weight: &'a Buffer,
    /// `[rows, width]` storage: what was normalised.
    pub x: &'a Buffer,
    /// `[width]` storage.
    pub gain: &'a Buffer,
    /// `[rows]` f32 from the forward pass.
    pub inv_rms: &'a Buffer,
    /// `[rows, width]` storage.
    pub d_x: &'a Buffer,
    /// Add to `d_x` (it holds the gradient that passes by on the residual) or overwrite it.
    pub accumulate: bool,
    /// Rows of `d_out`.
    pub rows: usize,
    /// Numbers per row of `x`.
    pub width: usize,
    /// Output features.
    pub outer: usize,
}

impl LinearRmsNormBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "linear_rms_norm_backward";
        check::positive(OP, "width", self.width)?;
        let n = self.rows * self.width;
        let t = check::storage(OP, "d_out", self.d_out)?;
        check::buffer(OP, "d_out", self.d_out, t, self.rows * self.outer)?;
        check::buffer(OP, "weight", self.weight, t, self.outer * self.width)?;
        check::buffer(OP, "x", self.x, t, n)?;
        check::buffer(OP, "gain", self.gain, t, self.width)?;
        check::floats(OP, "inv_rms", self.inv_rms, self.rows)?;
        check::buffer(OP, "d_x", self.d_x, t, n)?;
        let inputs = [self.d_out, self.weight, self.x, self.gain, self.inv_rms];
        check::distinct(OP, &[self.d_x], &inputs)
    }
}
