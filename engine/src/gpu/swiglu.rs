//! The gated activation.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::{SwigluBackward, SwigluForward};

pub fn forward<D: Driver>(_: &mut Gpu<D>, _: &SwigluForward<'_>) -> Result<()> {
    Err(missing("swiglu_forward"))
}

pub fn backward<D: Driver>(_: &mut Gpu<D>, _: &SwigluBackward<'_>) -> Result<()> {
    Err(missing("swiglu_backward"))
}
