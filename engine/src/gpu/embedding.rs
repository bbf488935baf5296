//! Rows of a table, gathered by token.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::{EmbeddingBackward, EmbeddingForward};

pub fn forward<D: Driver>(_: &mut Gpu<D>, _: &EmbeddingForward<'_>) -> Result<()> {
    Err(missing("embedding_forward"))
}

pub fn backward<D: Driver>(_: &mut Gpu<D>, _: &EmbeddingBackward<'_>) -> Result<()> {
    Err(missing("embedding_backward"))
}
