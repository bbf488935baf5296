//! Linear maps as blocked matrix products.

mod decode;

use super::matmul::{Mat, Out, Store, matmul, par_matmul};
use super::memory::{read, write};
use super::pool::for_each;
use super::scratch::Partials;
use crate::ops::{LinearBackwardInput, LinearBackwardWeight, LinearForward};
use crate::{DeviceId, Result};

pub use decode::decode;

pub fn forward(device: DeviceId, args: &LinearForward<'_>) -> Result<()> {
    const OP: &str = "linear_forward";
    let x = Mat::new(read(device, OP, args.x)?, args.rows, args.inner);
    let weight = Mat::new(read(device, OP, args.weight)?, args.outer, args.inner);
    let residual = args.residual.map(|r| read(device, OP, r)).transpose()?;
    let out = Out::new(write(device, OP, args.out)?, args.rows, args.outer);
    par_matmul(&out, x, weight.t(), Store::Overwrite, residual);
    Ok(())
}

pub fn backward_input(device: DeviceId, args: &LinearBackwardInput<'_>) -> Result<()> {
    const OP: &str = "linear_backward_input";
    let d_out = Mat::new(read(device, OP, args.d_out)?, args.rows, args.outer);
    let weight = Mat::new(read(device, OP, args.weight)?, args.outer, args.inner);
    let d_x = Out::new(write(device, OP, args.d_x)?, args.rows, args.inner);
    let store = if args.accumulate { Store::Add } else { Store::Overwrite };
    par_matmul(&d_x, d_out, weight, store, None);
    Ok(())
}

pub fn backward_weight(
    device: DeviceId,
    args: &LinearBackwardWeight<'_>,
    partials: &mut Partials,
) -> Result<()> {
    const OP: &str = "linear_backward_weight";
    let d_out = Mat::new(read(device, OP, args.d_out)?, args.rows, args.outer);
    let x = Mat::new(read(device, OP, args.x)?, args.rows, args.inner);
    let d_weight = write(device, OP, args.d_weight)?;
    weight_gradient(d_weight, d_out, x, (args.rows, args.outer, args.inner), partials);
    Ok(())
}

/// `d_weight += d_out^T x` with `dims = (rows, outer, inner)`.
///
/// The sum runs over the rows, of which there are many, into a matrix that may be too small
/// to give every core a block: then the rows are cut as well, and the partial products are
/// added in order.
pub fn weight_gradient(
    d_weight: &mut [f32],
    d_out: Mat<'_>,
    x: Mat<'_>,
    dims: (usize, usize, usize),
    partials: &mut Partials,
) {
    const OUTER_BLOCK: usize = 256;
    const ENOUGH_TASKS: usize = 8;
    const SHORTEST_CUT: usize = 256;
    let (rows, outer, inner) = dims;
    let blocks = outer.div_ceil(OUTER_BLOCK) * inner.div_ceil(OUTER_BLOCK);
    let cuts = (ENOUGH_TASKS / blocks.max(1)).min(rows / SHORTEST_CUT).max(1);
    if cuts == 1 {
        par_matmul(&Out::new(d_weight, outer, inner), d_out.t(), x, Store::Add, None);
        return;
    }
    let size = outer * inner;
    let length = rows.div_ceil(cuts);
    let sums = partials.floats(cuts * size);
    for_each(sums.chunks_exact_mut(size).enumerate(), |(cut, sum)| {
        let first = cut * length;
        let count = length.min(rows - first);
        let out = Out::new(sum, outer, inner);
        matmul(&out, d_out.rows(first, count).t(), x.rows(first, count), Store::Overwrite);
    });
    let sums = &*sums;
    for_each(d_weight.chunks_mut(4096).enumerate(), |(chunk, d_weight)| {
        for cut in 0..cuts {
            let first = cut * size + chunk * 4096;
            let sum = &sums[first..first + d_weight.len()];
            d_weight.iter_mut().zip(sum).for_each(|(d, s)| *d += s);
        }
    });
}
