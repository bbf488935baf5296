//! The gated activation.

use ltm_ptx::launch::swiglu;

use super::{Driver, Gpu, extent, pointer, storage};
use crate::Result;
use crate::ops::{SwigluBackward, SwigluForward};

pub fn forward<D: Driver>(gpu: &mut Gpu<D>, args: &SwigluForward<'_>) -> Result<()> {
    const OP: &str = "swiglu_forward";
    let launch = swiglu::SwigluForward {
        gate_up: pointer(gpu.id, OP, args.gate_up)?,
        out: pointer(gpu.id, OP, args.out)?,
        rows: extent(OP, "rows", args.rows)?,
        width: extent(OP, "width", args.width)?,
    };
    if launch.rows == 0 {
        return Ok(());
    }
    gpu.launch(&launch.launch(storage(OP, "gate_up", args.gate_up)?))
}

pub fn backward<D: Driver>(gpu: &mut Gpu<D>, args: &SwigluBackward<'_>) -> Result<()> {
    const OP: &str = "swiglu_backward";
    let launch = swiglu::SwigluBackward {
        gate_up: pointer(gpu.id, OP, args.gate_up)?,
        d_out: pointer(gpu.id, OP, args.d_out)?,
        d_gate_up: pointer(gpu.id, OP, args.d_gate_up)?,
        rows: extent(OP, "rows", args.rows)?,
        width: extent(OP, "width", args.width)?,
    };
    if launch.rows == 0 {
        return Ok(());
    }
    gpu.launch(&launch.launch(storage(OP, "gate_up", args.gate_up)?))
}
