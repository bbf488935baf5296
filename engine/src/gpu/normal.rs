//! Gaussian noise.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::Normal;

pub fn fill<D: Driver>(_: &mut Gpu<D>, _: &Normal<'_>) -> Result<()> {
    Err(missing("normal"))
}
