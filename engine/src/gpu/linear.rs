//! Linear maps without bias.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::{LinearBackwardInput, LinearBackwardWeight, LinearForward};

pub fn forward<D: Driver>(_: &mut Gpu<D>, _: &LinearForward<'_>) -> Result<()> {
    Err(missing("linear_forward"))
}

pub fn backward_input<D: Driver>(_: &mut Gpu<D>, _: &LinearBackwardInput<'_>) -> Result<()> {
    Err(missing("linear_backward_input"))
}

pub fn backward_weight<D: Driver>(_: &mut Gpu<D>, _: &LinearBackwardWeight<'_>) -> Result<()> {
    Err(missing("linear_backward_weight"))
}
