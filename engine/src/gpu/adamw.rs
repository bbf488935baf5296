//! AdamW and the global norm.

use super::{Driver, Gpu, missing};
use crate::Result;
use crate::ops::{AdamW, GlobalNorm};

pub fn step<D: Driver>(_: &mut Gpu<D>, _: &AdamW<'_>) -> Result<()> {
    Err(missing("adamw"))
}

pub fn global_norm<D: Driver>(_: &mut Gpu<D>, _: &GlobalNorm<'_>) -> Result<()> {
    Err(missing("global_norm"))
}
