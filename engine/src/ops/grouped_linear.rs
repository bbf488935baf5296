//! Linear maps of one shape side by side, each with a weight of its own.

use super::check;
use crate::{Buffer, Result};

/// How many maps, and where their weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Maps.
    pub count: usize,
    /// Numbers from the beginning of one weight to that of the next; the weights are parts of one
    /// buffer that begins with the first and ends with the last.
    pub weight_stride: usize,
}

impl Groups {
    /// Numbers of the buffer that holds weights of `size` numbers each.
    pub const fn weights_len(&self, size: usize) -> usize {
        match self.count {
            0 => 0,
            count => (count - 1) * self.weight_stride + size,
        }
    }
}

/// `out_g = x_g weight_g^T` for every group g: [`super::LinearForward`] on each.
#[derive(Debug)]
pub struct GroupedLinearForward<'a> {
    /// `[groups, rows, inner]` storage.
    pub x: &'a Buffer,
    /// `[outer, inner]` each, storage, as [`Groups`] says.
    pub weight: &'a Buffer,
    /// `[groups, rows, outer]` storage, overwritten.
    pub out: &'a Buffer,
    /// How many.
    pub groups: Groups,
    /// Rows of a group.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
}

impl GroupedLinearForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "grouped_linear_forward";
        let all = self.groups.count * self.rows;
        let t = check::storage(OP, "x", self.x)?;
        check::buffer(OP, "x", self.x, t, all * self.inner)?;
        let weights = self.groups.weights_len(self.outer * self.inner);
        check::buffer(OP, "weight", self.weight, t, weights)?;
        check::buffer(OP, "out", self.out, t, all * self.outer)?;
        check::distinct(OP, &[self.out], &[self.x, self.weight])
    }
}

/// `d_x_g = d_out_g weight_g` for every group g: [`super::LinearBackwardInput`] on each.
#[derive(Debug)]
pub struct GroupedLinearBackwardInput<'a> {
    /// `[groups, rows, outer]` storage.
    pub d_out: &'a Buffer,
    /// `[outer, inner]` each, storage, as [`Groups`] says.
    pub weight: &'a Buffer,
    /// `[groups, rows, inner]` storage, overwritten.
    pub d_x: &'a Buffer,
    /// How many.
    pub groups: Groups,
    /// Rows of a group.
    pub rows: usize,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
}

impl GroupedLinearBackwardInput<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "grouped_linear_backward_input";
        let all = self.groups.count * self.rows;
        let t = check::storage(OP, "d_out", self.d_out)?;
        check::buffer(OP, "d_out", self.d_out, t, all * self.outer)?;
        let weights = self.groups.weights_len(self.outer * self.inner);
        check::buffer(OP, "weight", self.weight, t, weights)?;
        check::buffer(OP, "d_x", self.d_x, t, all * self.inner)?;
        check::distinct(OP, &[self.d_x], &[self.d_out, self.weight])
    }
}
