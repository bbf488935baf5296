//! Linear maps with the gated activation in their epilogue. Where a library computes the product, the
//! activation follows by itself.

use ltm_ptx::launch::{linear, linear_swiglu, swiglu};

use super::{Driver, Gpu, Product, ProductKind, ProductShape, extent, pointer, storage};
use crate::Result;
use crate::ops::{LinearSwigluBackward, LinearSwigluForward};

/// Slot of the device scratch for a product by itself, which operations may share.
const SCRATCH: usize = 0;

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
    let outer = 2 * args.width;
    extent(OP, "width", outer.next_multiple_of(32))?;
    let outer = extent(OP, "width", outer)?;
    let storage = storage(OP, "x", args.x)?;
    let linear_swiglu::LinearSwigluForward { x, weight, gate_up, out, rows, inner, width } = launch;
    if rows == 0 {
        return Ok(());
    }
    let kind = ProductKind::Forward;
    let product = Product {
        shape: ProductShape { kind, rows, inner, outer, added: false, storage },
        activations: x,
        other: weight,
        addend: 0,
        out: gate_up,
    };
    let own = linear::LinearForward { x, weight, residual: 0, out: gate_up, rows, inner, outer };
    let after = swiglu::SwigluForward { gate_up, out, rows, width }.launch(storage);
    let own = own.launch(storage);
    gpu.multiply_and(&product, own.as_slice(), &[after], &launch.launches(storage))
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
    let storage = storage(OP, "d_out", args.d_out)?;
    let linear_swiglu::LinearSwigluBackward {
        d_out,
        weight,
        gate_up,
        d_gate_up,
        rows,
        width,
        outer,
    } = launch;
    if rows == 0 {
        return Ok(());
    }
    // Asked for whoever computes the product, so that what a plan counts does not depend on it.
    let d = gpu.scratch(SCRATCH, args.rows * args.width * storage.size())?;
    let kind = ProductKind::BackwardInput;
    let product = Product {
        shape: ProductShape { kind, rows, inner: width, outer, added: false, storage },
        activations: d_out,
        other: weight,
        addend: d,
        out: d,
    };
    let (d_x, accumulate, inner) = (d, false, width);
    let own = linear::LinearBackwardInput { d_out, weight, d_x, accumulate, rows, inner, outer };
    let after = swiglu::SwigluBackward { gate_up, d_out: d, d_gate_up, rows, width };
    let (own, after) = (own.launch(storage), after.launch(storage));
    gpu.multiply_and(&product, own.as_slice(), &[after], launch.launch(storage).as_slice())
}
