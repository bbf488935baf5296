//! Vocabulary projection with cross-entropy.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::LinearCrossEntropy;

pub fn forward_backward<D: Driver>(_: &mut Gpu<D>, _: &LinearCrossEntropy<'_>) -> Result<()> {
    Err(missing("linear_cross_entropy"))
}
