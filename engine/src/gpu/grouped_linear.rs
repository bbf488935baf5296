//! Linear maps side by side, in one launch. Always by our kernels: what is grouped are the small
//! products of a layer's latents, whose cost is that of launching them.

use ltm_ptx::launch::linear;

use super::{Driver, Gpu, extent, pointer, storage};
use crate::ops::{GroupedLinearBackwardInput, GroupedLinearForward, Groups};
use crate::{Error, Result};

/// Launches count groups in 16 bits.
const MOST: usize = u16::MAX as usize;

fn launch_groups(op: &'static str, groups: Groups) -> Result<linear::Groups> {
    if groups.count > MOST {
        let detail = format!("{} groups; a launch takes up to {MOST}", groups.count);
        return Err(Error::Value { op, detail });
    }
    let weight_stride = groups.weight_stride as u64;
    Ok(linear::Groups { count: groups.count as u32, weight_stride })
}

pub fn forward<D: Driver>(gpu: &mut Gpu<D>, args: &GroupedLinearForward<'_>) -> Result<()> {
    const OP: &str = "grouped_linear_forward";
    let groups = launch_groups(OP, args.groups)?;
    let launch = linear::LinearForward {
        x: pointer(gpu.id, OP, args.x)?,
        weight: pointer(gpu.id, OP, args.weight)?,
        residual: 0,
        out: pointer(gpu.id, OP, args.out)?,
        rows: extent(OP, "rows", args.rows)?,
        inner: extent(OP, "inner", args.inner)?,
        outer: extent(OP, "outer", args.outer)?,
    };
    match launch.launch_grouped(storage(OP, "x", args.x)?, groups) {
        Some(launch) => gpu.launch(&launch),
        None => Ok(()),
    }
}

pub fn backward_input<D: Driver>(
    gpu: &mut Gpu<D>,
    args: &GroupedLinearBackwardInput<'_>,
) -> Result<()> {
    const OP: &str = "grouped_linear_backward_input";
    let groups = launch_groups(OP, args.groups)?;
    let launch = linear::LinearBackwardInput {
        d_out: pointer(gpu.id, OP, args.d_out)?,
        weight: pointer(gpu.id, OP, args.weight)?,
        d_x: pointer(gpu.id, OP, args.d_x)?,
        accumulate: false,
        rows: extent(OP, "rows", args.rows)?,
        inner: extent(OP, "inner", args.inner)?,
        outer: extent(OP, "outer", args.outer)?,
    };
    match launch.launch_grouped(storage(OP, "d_out", args.d_out)?, groups) {
        Some(launch) => gpu.launch(&launch),
        None => Ok(()),
    }
}
