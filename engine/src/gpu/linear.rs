//! Linear maps without bias.

use ltm_ptx::launch::linear;

use super::{Driver, Gpu, Product, ProductKind, ProductShape, extent, optional, pointer, storage};
use crate::ops::{LinearBackwardInput, LinearBackwardWeight, LinearForward};
use crate::{Buffer, Result};

/// Slot of the device scratch for the cuts of a weight gradient. Its contents do not outlive a
/// call, so operations may share it.
const SCRATCH: usize = 0;

/// Our own product.
fn own<D: Driver>(
    gpu: &Gpu<D>,
    op: &'static str,
    args: &LinearForward<'_>,
) -> Result<linear::LinearForward> {
    Ok(linear::LinearForward {
        x: pointer(gpu.id, op, args.x)?,
        weight: pointer(gpu.id, op, args.weight)?,
        residual: optional(gpu.id, op, args.residual)?,
        out: pointer(gpu.id, op, args.out)?,
        rows: extent(op, "rows", args.rows)?,
        inner: extent(op, "inner", args.inner)?,
        outer: extent(op, "outer", args.outer)?,
    })
}

pub fn forward<D: Driver>(gpu: &mut Gpu<D>, args: &LinearForward<'_>) -> Result<()> {
    const OP: &str = "linear_forward";
    let launch = own(gpu, OP, args)?;
    let storage = storage(OP, "x", args.x)?;
    let linear::LinearForward { rows, inner, outer, .. } = launch;
    let (kind, added) = (ProductKind::Forward, args.residual.is_some());
    let product = Product {
        shape: ProductShape { kind, rows, inner, outer, added, storage },
        activations: launch.x,
        other: launch.weight,
        addend: launch.residual,
        out: launch.out,
    };
    gpu.multiply(&product, launch.launch(storage).as_slice())
}

/// Always by our kernel for few rows, which sums each by itself in one order: a library chooses
/// its order by their number.
pub fn decode<D: Driver>(gpu: &mut Gpu<D>, args: &LinearForward<'_>) -> Result<()> {
    const OP: &str = "linear_decode";
    let (rows, inner, outer) = (args.rows, args.inner, args.outer);
    let storage = storage(OP, "x", args.x)?;
    for first in (0..rows).step_by(linear::VECTOR_ROWS as usize) {
        let last = rows.min(first + linear::VECTOR_ROWS as usize);
        let part = |buffer: &Buffer, width: usize| buffer.slice(first * width..last * width);
        let residual = args.residual.map(|r| part(r, outer)).transpose()?;
        let (x, out) = (part(args.x, inner)?, part(args.out, outer)?);
        let (residual, rows) = (residual.as_ref(), last - first);
        let launch = own(gpu, OP, &LinearForward { x: &x, residual, out: &out, rows, ..*args })?;
        if let Some(launch) = launch.launch(storage) {
            gpu.launch(&launch)?;
        }
    }
    Ok(())
}

pub fn backward_input<D: Driver>(gpu: &mut Gpu<D>, args: &LinearBackwardInput<'_>) -> Result<()> {
    const OP: &str = "linear_backward_input";
    let launch = linear::LinearBackwardInput {
        d_out: pointer(gpu.id, OP, args.d_out)?,
        weight: pointer(gpu.id, OP, args.weight)?,
        d_x: pointer(gpu.id, OP, args.d_x)?,
        accumulate: args.accumulate,
        rows: extent(OP, "rows", args.rows)?,
        inner: extent(OP, "inner", args.inner)?,
        outer: extent(OP, "outer", args.outer)?,
    };
    let storage = storage(OP, "d_out", args.d_out)?;
    let linear::LinearBackwardInput { rows, inner, outer, .. } = launch;
    let (kind, added) = (ProductKind::BackwardInput, args.accumulate);
    let product = Product {
        shape: ProductShape { kind, rows, inner, outer, added, storage },
        activations: launch.d_out,
        other: launch.weight,
        addend: launch.d_x,
        out: launch.d_x,
    };
    gpu.multiply(&product, launch.launch(storage).as_slice())
}

pub fn backward_weight<D: Driver>(gpu: &mut Gpu<D>, args: &LinearBackwardWeight<'_>) -> Result<()> {
    const OP: &str = "linear_backward_weight";
    let storage = storage(OP, "d_out", args.d_out)?;
    let launch = linear::LinearBackwardWeight {
        d_out: pointer(gpu.id, OP, args.d_out)?,
        x: pointer(gpu.id, OP, args.x)?,
        d_weight: pointer(gpu.id, OP, args.d_weight)?,
        rows: extent(OP, "rows", args.rows)?,
        inner: extent(OP, "inner", args.inner)?,
        outer: extent(OP, "outer", args.outer)?,
    };
    let scratch = match launch.scratch_bytes(storage) {
        0 => 0,
        bytes => gpu.scratch(SCRATCH, bytes)?,
    };
    let linear::LinearBackwardWeight { rows, inner, outer, .. } = launch;
    let (kind, added) = (ProductKind::BackwardWeight, true);
    let product = Product {
        shape: ProductShape { kind, rows, inner, outer, added, storage },
        activations: launch.d_out,
        other: launch.x,
        addend: launch.d_weight,
        out: launch.d_weight,
    };
    gpu.multiply(&product, &launch.launches(storage, scratch))
}
