//! Linear maps with the normalisation beside them in their epilogue. Where a library computes the
//! product, the normalisation follows by itself.

use ltm_ptx::launch::linear_rms_norm;

use super::{Driver, Gpu, Product, ProductKind, ProductShape, extent, optional, pointer, storage};
use crate::Result;
use crate::ops::{LinearRmsNormBackward, LinearRmsNormForward};

/// Slot of the device scratch for a product by itself, which operations may share.
const SCRATCH: usize = 0;

pub fn forward<D: Driver>(gpu: &mut Gpu<D>, args: &LinearRmsNormForward<'_>) -> Result<()> {
    const OP: &str = "linear_rms_norm_forward";
    let launch = linear_rms_norm::LinearRmsNormForward {
        x: pointer(gpu.id, OP, args.x)?,
        weight: pointer(gpu.id, OP, args.weight)?,
        residual: optional(gpu.id, OP, args.residual)?,
        gain: pointer(gpu.id, OP, args.gain)?,
        out: pointer(gpu.id, OP, args.out)?,
        normed: pointer(gpu.id, OP, args.normed)?,
        inv_rms: pointer(gpu.id, OP, args.inv_rms)?,
        rows: extent(OP, "rows", args.rows)?,
        inner: extent(OP, "inner", args.inner)?,
        outer: extent(OP, "outer", args.outer)?,
        eps: args.eps,
    };
    if launch.rows == 0 {
        return Ok(());
    }
    let storage = storage(OP, "x", args.x)?;
    let kind = ProductKind::Forward;
    let (rows, inner, outer) = (launch.rows, launch.inner, launch.outer);
    let added = args.residual.is_some();
    let product = Product {
        shape: ProductShape { kind, rows, inner, outer, added, storage },
        activations: launch.x,
        other: launch.weight,
        addend: launch.residual,
        out: launch.out,
    };
    let (own, after) = (launch.product().launch(storage), launch.norm().launch(storage));
    gpu.multiply_and(&product, own.as_slice(), &[after], &launch.launches(storage))
}

pub fn backward<D: Driver>(gpu: &mut Gpu<D>, args: &LinearRmsNormBackward<'_>) -> Result<()> {
    const OP: &str = "linear_rms_norm_backward";
    let mut launch = linear_rms_norm::LinearRmsNormBackward {
        d_out: pointer(gpu.id, OP, args.d_out)?,
        weight: pointer(gpu.id, OP, args.weight)?,
        x: pointer(gpu.id, OP, args.x)?,
        gain: pointer(gpu.id, OP, args.gain)?,
        inv_rms: pointer(gpu.id, OP, args.inv_rms)?,
        d_x: pointer(gpu.id, OP, args.d_x)?,
        accumulate: args.accumulate,
        scratch: 0,
        rows: extent(OP, "rows", args.rows)?,
        width: extent(OP, "width", args.width)?,
        outer: extent(OP, "outer", args.outer)?,
    };
    if launch.rows == 0 {
        return Ok(());
    }
    let storage = storage(OP, "d_out", args.d_out)?;
    // Asked for whoever computes the product, so that what a plan counts does not depend on it.
    launch.scratch = gpu.scratch(SCRATCH, args.rows * args.width * storage.size())?;
    let kind = ProductKind::BackwardInput;
    let (rows, inner, outer) = (launch.rows, launch.width, launch.outer);
    let product = Product {
        shape: ProductShape { kind, rows, inner, outer, added: false, storage },
        activations: launch.d_out,
        other: launch.weight,
        addend: launch.scratch,
        out: launch.scratch,
    };
    let (own, after) = (launch.product().launch(storage), launch.norm().launches(storage));
    gpu.multiply_and(&product, own.as_slice(), &after, &launch.launches(storage))
}
