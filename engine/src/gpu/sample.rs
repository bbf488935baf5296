//! Drawing the next token.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::Sample;

pub fn draw<D: Driver>(_: &mut Gpu<D>, _: &Sample<'_>) -> Result<()> {
    Err(missing("sample"))
}
