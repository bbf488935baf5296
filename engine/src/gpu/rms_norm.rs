//! Root-mean-square normalisation.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::{RmsNormBackward, RmsNormForward};

pub fn forward<D: Driver>(_: &mut Gpu<D>, _: &RmsNormForward<'_>) -> Result<()> {
    Err(missing("rms_norm_forward"))
}

pub fn backward<D: Driver>(_: &mut Gpu<D>, _: &RmsNormBackward<'_>) -> Result<()> {
    Err(missing("rms_norm_backward"))
}
