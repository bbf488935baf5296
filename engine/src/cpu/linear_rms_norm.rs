//! Linear maps with the normalisation beside them: a block of rows is normalised by the task that has
//! just computed it.

use super::matmul::{Mat, ROW_BLOCK, Store, matmul_rows};
use super::memory::{read, write};
use super::pool::for_each;
use super::rms_norm::{input_gradient, normalise};
use super::scratch::with_local;
use crate::ops::{LinearRmsNormBackward, LinearRmsNormForward};
use crate::{DeviceId, Result};

pub fn forward(device: DeviceId, args: &LinearRmsNormForward<'_>) -> Result<()> {
    const OP: &str = "linear_rms_norm_forward";
    let &LinearRmsNormForward { rows, inner, outer, eps, .. } = args;
    let x = Mat::new(read(device, OP, args.x)?, rows, inner);
    let weight = Mat::new(read(device, OP, args.weight)?, outer, inner).t();
    let residual = args.residual.map(|r| read::<f32>(device, OP, r)).transpose()?;
    let gain = read::<f32>(device, OP, args.gain)?;
    let outs = write::<f32>(device, OP, args.out)?.chunks_mut(ROW_BLOCK * outer);
    let normed = write::<f32>(device, OP, args.normed)?.chunks_mut(ROW_BLOCK * outer);
    let inv_rms = write::<f32>(device, OP, args.inv_rms)?.chunks_mut(ROW_BLOCK);
    for_each(outs.zip(normed.zip(inv_rms)).enumerate(), |(block, (out, (normed, inv_rms)))| {
        let first = block * ROW_BLOCK;
        let store = match residual {
            Some(residual) => {
                out.copy_from_slice(&residual[first * outer..][..out.len()]);
                Store::Add
            }
            None => Store::Overwrite,
        };
        matmul_rows(out, x.rows(first, inv_rms.len()), weight, store);
        normalise(out, gain, normed, inv_rms, eps);
    });
    Ok(())
}

pub fn backward(device: DeviceId, args: &LinearRmsNormBackward<'_>) -> Result<()> {
    const OP: &str = "linear_rms_norm_backward";
    let &LinearRmsNormBackward { rows, width, outer, accumulate, .. } = args;
    let d_out = Mat::new(read(device, OP, args.d_out)?, rows, outer);
    let weight = Mat::new(read(device, OP, args.weight)?, outer, width);
    let gain = read::<f32>(device, OP, args.gain)?;
    let x = read::<f32>(device, OP, args.x)?.chunks(ROW_BLOCK * width);
    let inv_rms = read::<f32>(device, OP, args.inv_rms)?.chunks(ROW_BLOCK);
    let d_x = write::<f32>(device, OP, args.d_x)?.chunks_mut(ROW_BLOCK * width);
    for_each(d_x.zip(x.zip(inv_rms)).enumerate(), |(block, (d_x, (x, inv_rms)))| {
        with_local(d_x.len(), |d| {
            let d_out = d_out.rows(block * ROW_BLOCK, inv_rms.len());
            matmul_rows(d, d_out, weight, Store::Overwrite);
            input_gradient(d_x, d, x, gain, inv_rms, accumulate);
        });
    });
    Ok(())
}
