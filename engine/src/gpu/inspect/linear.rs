//! Matrix products.

use super::bench::Bench;
use crate::ops::*;
use crate::{DType, Result};

pub fn measure(b: &mut Bench<'_>) -> Result<()> {
    let (rows, dim) = (b.shape().rows(), b.shape().dim());
    forward(b, "linear_forward", (rows, dim, 3 * dim), true)?;
    forward(b, "linear_forward (one row)", (1, dim, 3 * dim), false)?;
    // No row of either operand is a whole number of 16-byte units.
    forward(b, "linear_forward (ragged)", (rows + 1, 129, 67), false)?;
    backward(b, "", (rows, dim, 3 * dim))?;
    backward(b, " (ragged)", (rows + 1, 129, 67))?;
    for weight in [false, true] {
        cross_entropy(b, weight)?;
    }
    Ok(())
}

fn forward(
    b: &mut Bench<'_>,
    name: &str,
    (rows, inner, outer): (usize, usize, usize),
    with_residual: bool,
) -> Result<()> {
    let (x, weight) = (b.input(rows * inner)?, b.input(outer * inner)?);
    let residual = match with_residual {
        true => Some(b.input(rows * outer)?),
        false => None,
    };
    let out = b.output(rows * outer)?;
    b.run(name, |gpu| {
        gpu.linear_forward(&LinearForward {
            x: &x,
            weight: &weight,
            residual: residual.as_ref(),
            out: &out,
            rows,
            inner,
            outer,
        })
    })
}

fn backward(
    b: &mut Bench<'_>,
    suffix: &str,
    (rows, inner, outer): (usize, usize, usize),
) -> Result<()> {
    let (d_out, weight) = (b.input(rows * outer)?, b.input(outer * inner)?);
    let d_x = b.output(rows * inner)?;
    b.run(&format!("linear_backward_input{suffix}"), |gpu| {
        gpu.linear_backward_input(&LinearBackwardInput {
            d_out: &d_out,
            weight: &weight,
            d_x: &d_x,
            accumulate: false,
            rows,
            inner,
            outer,
        })
    })?;
    let (d_out, x) = (b.input(rows * outer)?, b.input(rows * inner)?);
    let d_weight = b.updated(outer * inner)?;
    b.run(&format!("linear_backward_weight{suffix}"), |gpu| {
        let (d_out, x, d_weight) = (&d_out, &x, &d_weight);
        gpu.linear_backward_weight(&LinearBackwardWeight { d_out, x, d_weight, rows, inner, outer })
    })
}

fn cross_entropy(b: &mut Bench<'_>, with_weight: bool) -> Result<()> {
    let (rows, width, vocab) = (b.shape().rows(), b.shape().dim(), b.shape().vocab);
    let (hidden, weight) = (b.input(rows * width)?, b.input(vocab * width)?);
    let targets: Vec<i32> = (0..rows).map(|r| (r * 37 % vocab) as i32).collect();
    let targets = b.indices(&targets)?;
    let (token_nll, logsumexp) = (b.result(DType::F32, rows)?, b.result(DType::F32, rows)?);
    let d_hidden = b.output(rows * width)?;
    let d_weight = match with_weight {
        true => Some(b.updated(vocab * width)?),
        false => None,
    };
    let name = match with_weight {
        true => "linear_cross_entropy (d_weight)",
        false => "linear_cross_entropy",
    };
    b.run(name, |gpu| {
        gpu.linear_cross_entropy(&LinearCrossEntropy {
            hidden: &hidden,
            weight: &weight,
            targets: &targets,
            token_nll: &token_nll,
            logsumexp: &logsumexp,
            d_hidden: Some(&d_hidden),
            d_weight: d_weight.as_ref(),
            scale: 1.0,
            rows,
            width,
            vocab,
        })
    })
}
