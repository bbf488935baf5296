//! Rows of a table, gathered by token.

use super::check;
use crate::{Buffer, Result};

/// `out[r] = table[tokens[r]]`.
#[derive(Debug)]
pub struct EmbeddingForward<'a> {
    /// `[vocab, width]` storage.
    pub table: &'a Buffer,
    /// `[rows]` i32 in `0..vocab`.
    pub tokens: &'a Buffer,
    /// `[rows, width]` storage, overwritten.
    pub out: &'a Buffer,
    /// Tokens.
    pub rows: usize,
    /// Numbers per row.
    pub width: usize,
    /// Rows of the table.
    pub vocab: usize,
}

impl EmbeddingForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "embedding_forward";
        check::positive(OP, "width", self.width)?;
        check::positive(OP, "vocab", self.vocab)?;
        let t = check::storage(OP, "table", self.table)?;
        check::buffer(OP, "table", self.table, t, self.vocab * self.width)?;
        check::integers(OP, "tokens", self.tokens, self.rows)?;
        check::buffer(OP, "out", self.out, t, self.rows * self.width)?;
        check::distinct(OP, &[self.out], &[self.table, self.tokens])
    }
}

/// `d_table[t] += sum of d_out[r] over the rows r of token t`, in ascending r.
#[derive(Debug)]
pub struct EmbeddingBackward<'a> {
    /// `[rows, width]` storage.
    pub d_out: &'a Buffer,
    /// `[rows]` i32 in `0..vocab`.
    pub tokens: &'a Buffer,
    /// `[rows]` i32: the rows sorted by token, equal tokens in ascending row. Sorted once per
    /// batch, it makes the scatter-add ordered and free of write conflicts.
    pub order: &'a Buffer,
    /// `[vocab, width]` f32, added to.
    pub d_table: &'a Buffer,
    /// Tokens.
    pub rows: usize,
    /// Numbers per row.
    pub width: usize,
    /// Rows of the table.
    pub vocab: usize,
}

impl EmbeddingBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "embedding_backward";
        check::positive(OP, "width", self.width)?;
        check::positive(OP, "vocab", self.vocab)?;
        let t = check::storage(OP, "d_out", self.d_out)?;
        check::buffer(OP, "d_out", self.d_out, t, self.rows * self.width)?;
        check::integers(OP, "tokens", self.tokens, self.rows)?;
        check::integers(OP, "order", self.order, self.rows)?;
        check::floats(OP, "d_table", self.d_table, self.vocab * self.width)?;
        check::distinct(OP, &[self.d_table], &[self.d_out, self.tokens, self.order])
    }
}
