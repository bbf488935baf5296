//! Linear maps without bias: `y = x W^T`, `W` stored `[out, in]`.

use super::check;
use crate::{Buffer, Result};

/// `out = x weight^T (+ residual)`.
#[derive(Debug)]
pub struct LinearForward<'a> {
    /// `[rows, inner]` storage.
    pub x: &'a Buffer,
    /// `[outer, inner]` storage.
    pub weight: &'a Buffer,
    /// `[rows, outer]` storage, added to the product if given.
    pub residual: Option<&'a Buffer>,
    /// `[rows, outer]` storage, overwritten.
    pub out: &'a Buffer,
    /// Rows of `x`.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
}

impl LinearForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "linear_forward";
        let t = check::storage(OP, "x", self.x)?;
        check::buffer(OP, "x", self.x, t, self.rows * self.inner)?;
        check::buffer(OP, "weight", self.weight, t, self.outer * self.inner)?;
        check::buffer(OP, "out", self.out, t, self.rows * self.outer)?;
        if let Some(residual) = self.residual {
            check::buffer(OP, "residual", residual, t, self.rows * self.outer)?;
            check::distinct(OP, &[self.out], &[residual])?;
        }
        check::distinct(OP, &[self.out], &[self.x, self.weight])
    }
}

/// `d_x (+)= d_out weight`.
#[derive(Debug)]
pub struct LinearBackwardInput<'a> {
    /// `[rows, outer]` storage.
    pub d_out: &'a Buffer,
    /// `[outer, inner]` storage.
    pub weight: &'a Buffer,
    /// `[rows, inner]` storage.
    pub d_x: &'a Buffer,
    /// Add to `d_x` or overwrite it.
    pub accumulate: bool,
    /// Rows of `d_out`.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
}

impl LinearBackwardInput<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "linear_backward_input";
        let t = check::storage(OP, "d_out", self.d_out)?;
        check::buffer(OP, "d_out", self.d_out, t, self.rows * self.outer)?;
        check::buffer(OP, "weight", self.weight, t, self.outer * self.inner)?;
        check::buffer(OP, "d_x", self.d_x, t, self.rows * self.inner)?;
        check::distinct(OP, &[self.d_x], &[self.d_out, self.weight])
    }
}

/// `d_weight += d_out^T x`.
#[derive(Debug)]
pub struct LinearBackwardWeight<'a> {
    /// `[rows, outer]` storage.
    pub d_out: &'a Buffer,
    /// `[rows, inner]` storage.
    pub x: &'a Buffer,
    /// `[outer, inner]` f32, added to.
    pub d_weight: &'a Buffer,
    /// Rows of `x`.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
}

impl LinearBackwardWeight<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "linear_backward_weight";
        let t = check::storage(OP, "d_out", self.d_out)?;
        check::buffer(OP, "d_out", self.d_out, t, self.rows * self.outer)?;
        check::buffer(OP, "x", self.x, t, self.rows * self.inner)?;
        check::floats(OP, "d_weight", self.d_weight, self.outer * self.inner)?;
        check::distinct(OP, &[self.d_weight], &[self.d_out, self.x])
    }
}
