//! Root-mean-square normalisation.

use ltm_ptx::launch::rms_norm;

use super::{Driver, Gpu, extent, optional, pointer, storage};
use crate::Result;
use crate::ops::{RmsNormBackward, RmsNormForward};

/// Scratch slot of the partial sums of `d_weight`.
const PARTIAL: usize = 0;

pub fn forward<D: Driver>(gpu: &mut Gpu<D>, args: &RmsNormForward<'_>) -> Result<()> {
    const OP: &str = "rms_norm_forward";
    let residual = args.residual.as_ref();
    let launch = rms_norm::RmsNormForward {
        x: pointer(gpu.id, OP, args.x)?,
        delta: optional(gpu.id, OP, residual.map(|r| r.delta))?,
        sum: optional(gpu.id, OP, residual.map(|r| r.sum))?,
        weight: pointer(gpu.id, OP, args.weight)?,
        out: pointer(gpu.id, OP, args.out)?,
        inv_rms: pointer(gpu.id, OP, args.inv_rms)?,
        rows: extent(OP, "rows", args.rows)?,
        width: extent(OP, "width", args.width)?,
        eps: args.eps,
    };
    if launch.rows == 0 {
        return Ok(());
    }
    gpu.launch(&launch.launch(storage(OP, "x", args.x)?))
}

pub fn backward<D: Driver>(gpu: &mut Gpu<D>, args: &RmsNormBackward<'_>) -> Result<()> {
    const OP: &str = "rms_norm_backward";
    let mut launch = rms_norm::RmsNormBackward {
        d_out: pointer(gpu.id, OP, args.d_out)?,
        x: pointer(gpu.id, OP, args.x)?,
        weight: pointer(gpu.id, OP, args.weight)?,
        inv_rms: pointer(gpu.id, OP, args.inv_rms)?,
        d_x: optional(gpu.id, OP, args.d_x)?,
        accumulate: args.accumulate,
        d_weight: optional(gpu.id, OP, args.d_weight)?,
        scratch: 0,
        rows: extent(OP, "rows", args.rows)?,
        width: extent(OP, "width", args.width)?,
    };
    if launch.rows == 0 {
        return Ok(());
    }
    if args.d_weight.is_some() {
        let bytes = rms_norm::RmsNormBackward::scratch_bytes(args.rows, args.width);
        launch.scratch = gpu.scratch(PARTIAL, bytes)?;
    }
    let launches = launch.launches(storage(OP, "d_out", args.d_out)?);
    launches.iter().try_for_each(|launch| gpu.launch(launch))
}
