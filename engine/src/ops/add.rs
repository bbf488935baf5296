//! Accumulation of one buffer into another.

use super::check;
use crate::{Buffer, Result};

/// `into += x`.
#[derive(Debug)]
pub struct Add<'a> {
    /// `[n]` storage.
    pub x: &'a Buffer,
    /// `[n]` storage, added to.
    pub into: &'a Buffer,
}

impl Add<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "add";
        let t = check::storage(OP, "into", self.into)?;
        check::buffer(OP, "x", self.x, t, self.into.len())?;
        check::buffer(OP, "into", self.into, t, self.into.len())?;
        check::distinct(OP, &[self.into], &[self.x])
    }
}
