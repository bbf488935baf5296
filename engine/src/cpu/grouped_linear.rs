//! Linear maps side by side, one after the other.

use super::linear;
use crate::ops::{
    GroupedLinearBackwardInput, GroupedLinearForward, LinearBackwardInput, LinearForward,
};
use crate::{DeviceId, Result};

pub fn forward(device: DeviceId, args: &GroupedLinearForward<'_>) -> Result<()> {
    let &GroupedLinearForward { groups, rows, inner, outer, .. } = args;
    for group in 0..groups.count {
        let (x, out) = (rows * inner, rows * outer);
        let weight = group * groups.weight_stride;
        linear::forward(
            device,
            &LinearForward {
                x: &args.x.slice(group * x..(group + 1) * x)?,
                weight: &args.weight.slice(weight..weight + outer * inner)?,
                residual: None,
                out: &args.out.slice(group * out..(group + 1) * out)?,
                rows,
                inner,
                outer,
            },
        )?;
    }
    Ok(())
}

pub fn backward_input(device: DeviceId, args: &GroupedLinearBackwardInput<'_>) -> Result<()> {
    let &GroupedLinearBackwardInput { groups, rows, inner, outer, .. } = args;
    for group in 0..groups.count {
        let (d_x, d_out) = (rows * inner, rows * outer);
        let weight = group * groups.weight_stride;
        linear::backward_input(
            device,
            &LinearBackwardInput {
                d_out: &args.d_out.slice(group * d_out..(group + 1) * d_out)?,
                weight: &args.weight.slice(weight..weight + outer * inner)?,
                d_x: &args.d_x.slice(group * d_x..(group + 1) * d_x)?,
                accumulate: false,
                rows,
                inner,
                outer,
            },
        )?;
    }
    Ok(())
}
