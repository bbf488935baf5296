//! Accumulation of one buffer into another.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::Add;

pub fn accumulate<D: Driver>(_: &mut Gpu<D>, _: &Add<'_>) -> Result<()> {
    Err(missing("add"))
}
