//! Accumulation of one buffer into another.

use super::check;
use crate::{Buffer, Result};

/// `into += x`.
#[derive(Debug)]
pub struct Add<'a> {
    /// `[n]` f32.
    pub x: &'a Buffer,
    /// `[n]` f32, added to.
    pub into: &'a Buffer,
}

impl Add<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "add";
        check::floats(OP, "x", self.x, self.into.len())?;
        check::floats(OP, "into", self.into, self.into.len())?;
        check::distinct(OP, &[self.into], &[self.x])
    }
}
