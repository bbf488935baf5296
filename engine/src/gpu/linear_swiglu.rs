//! Linear maps with the gated activation in their epilogue.

use ltm_ptx::launch::linear_swiglu;

use super::{Driver, Gpu, extent, pointer, storage};
use crate::Result;
use crate::ops::{LinearSwigluBackward, LinearSwigluForward};

pub fn forward<D: Driver>(gpu: &mut Gpu<D>, args: &LinearSwigluForward<'_>) -> Result<()> {
    const OP: &str = "linear_swiglu_forward";
    let launch = linear_swiglu::LinearSwigluForward {
        x: pointer(gpu.id, OP, args.x)?,
        weight: pointer(gpu.id, OP, args.weight)?,
        gate_up: pointer(gpu.id, OP, args.gate_up)?,
        out: pointer(gpu.id, OP, args.out)?,
        rows: extent(OP, "rows", args.rows)?,
        inner: extent(OP, "inner", args.inner)?,
        width: extent(OP, "width", args.width)?,
    };
    extent(OP, "width", 2 * args.width.next_multiple_of(16))?;
    if launch.rows == 0 {
        return Ok(());
    }
    let launches = launch.launches(storage(OP, "x", args.x)?);
    launches.iter().try_for_each(|launch| gpu.launch(launch))
}

pub fn backward<D: Driver>(gpu: &mut Gpu<D>, args: &LinearSwigluBackward<'_>) -> Result<()> {
    const OP: &str = "linear_swiglu_backward";
    let launch = linear_swiglu::LinearSwigluBackward {
        d_out: pointer(gpu.id, OP, args.d_out)?,
        weight: pointer(gpu.id, OP, args.weight)?,
        gate_up: pointer(gpu.id, OP, args.gate_up)?,
        d_gate_up: pointer(gpu.id, OP, args.d_gate_up)?,
        rows: extent(OP, "rows", args.rows)?,
        width: extent(OP, "width", args.width)?,
        outer: extent(OP, "outer", args.outer)?,
    };
    match launch.launch(storage(OP, "d_out", args.d_out)?) {
        Some(launch) => gpu.launch(&launch),
        None => Ok(()),
    }
}
