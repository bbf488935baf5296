//! The Gaussian posterior.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::{GaussianBackward, GaussianKl, GaussianReparameterise, GaussianUpdate};

pub fn reparameterise<D: Driver>(_: &mut Gpu<D>, _: &GaussianReparameterise<'_>) -> Result<()> {
    Err(missing("gaussian_reparameterise"))
}

pub fn kl<D: Driver>(_: &mut Gpu<D>, _: &GaussianKl<'_>) -> Result<()> {
    Err(missing("gaussian_kl"))
}

pub fn backward<D: Driver>(_: &mut Gpu<D>, _: &GaussianBackward<'_>) -> Result<()> {
    Err(missing("gaussian_backward"))
}

pub fn update<D: Driver>(_: &mut Gpu<D>, _: &GaussianUpdate<'_>) -> Result<()> {
    Err(missing("gaussian_update"))
}
