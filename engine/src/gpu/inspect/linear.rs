//! Matrix products.

use super::bench::Bench;
use super::noting::Noting;
use crate::ops::*;
use crate::{DType, Result};

pub fn measure<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let (rows, dim) = (b.shape().rows(), b.shape().dim());
    forward(b, "linear_forward", (rows, dim, 3 * dim), true)?;
    forward(b, "linear_forward (one row)", (1, dim, 3 * dim), false)?;
    // No row of either operand is a whole number of 16-byte units.
    forward(b, "linear_forward (ragged)", (rows + 1, 129, 67), false)?;
    backward_input(b, "linear_backward_input", (rows, dim, 3 * dim))?;
    backward_input(b, "linear_backward_input (ragged)", (rows + 1, 129, 67))?;
    backward_weight(b, "linear_backward_weight", (rows, dim, 3 * dim))?;
    backward_weight(b, "linear_backward_weight (ragged)", (rows + 1, 129, 67))?;
    // Many rows for a small result: the sum over them is cut.
    backward_weight(b, "linear_backward_weight (cut)", (5 * rows, dim / 2, dim / 2))?;
    if b.storage() == DType::BF16 {
        // Results of 16 x 8 large tiles, as those of a training are. In f32 there is one tile.
        let (many, few) = (8 * rows, 64);
        forward(b, "linear_forward (large)", (many, few, many / 2), false)?;
        backward_input(b, "linear_backward_input (large)", (many, many / 2, few))?;
        backward_weight(b, "linear_backward_weight (large)", (few, many, many / 2))?;
    }
    let ffn = b.shape().ffn;
    gated(b, "", (rows, dim, ffn))?;
    gated(b, " (ragged)", (rows + 1, 129, 67))?;
    if b.storage() == DType::BF16 {
        gated(b, " (large)", (8 * rows, 64, 4 * rows))?;
    }
    cross_entropy(b, dim, false)?;
    for width in [dim / 2, dim, 2 * dim] {
        cross_entropy(b, width, true)?;
    }
    Ok(())
}

fn forward<D: Noting>(
    b: &mut Bench<'_, D>,
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

fn backward_input<D: Noting>(
    b: &mut Bench<'_, D>,
    name: &str,
    (rows, inner, outer): (usize, usize, usize),
) -> Result<()> {
    let (d_out, weight) = (b.input(rows * outer)?, b.input(outer * inner)?);
    let d_x = b.output(rows * inner)?;
    b.run(name, |gpu| {
        gpu.linear_backward_input(&LinearBackwardInput {
            d_out: &d_out,
            weight: &weight,
            d_x: &d_x,
            accumulate: false,
            rows,
            inner,
            outer,
        })
    })
}

fn backward_weight<D: Noting>(
    b: &mut Bench<'_, D>,
    name: &str,
    (rows, inner, outer): (usize, usize, usize),
) -> Result<()> {
    let (d_out, x) = (b.input(rows * outer)?, b.input(rows * inner)?);
    let d_weight = b.updated(outer * inner)?;
    b.run(name, |gpu| {
        let (d_out, x, d_weight) = (&d_out, &x, &d_weight);
        gpu.linear_backward_weight(&LinearBackwardWeight { d_out, x, d_weight, rows, inner, outer })
    })
}

fn gated<D: Noting>(
    b: &mut Bench<'_, D>,
    change: &str,
    (rows, features, width): (usize, usize, usize),
) -> Result<()> {
    let n = rows * width;
    let (x, weight) = (b.input(rows * features)?, b.input(2 * width * features)?);
    let (gate_up, out) = (b.output(2 * n)?, b.output(n)?);
    b.run(&format!("linear_swiglu_forward{change}"), |gpu| {
        gpu.linear_swiglu_forward(&LinearSwigluForward {
            x: &x,
            weight: &weight,
            gate_up: &gate_up,
            out: &out,
            rows,
            inner: features,
            width,
        })
    })?;
    let (d_out, weight) = (b.input(rows * features)?, b.input(features * width)?);
    let (gate_up, d_gate_up) = (b.input(2 * n)?, b.output(2 * n)?);
    b.run(&format!("linear_swiglu_backward{change}"), |gpu| {
        gpu.linear_swiglu_backward(&LinearSwigluBackward {
            d_out: &d_out,
            weight: &weight,
            gate_up: &gate_up,
            d_gate_up: &d_gate_up,
            rows,
            width,
            outer: features,
        })
    })
}

fn cross_entropy<D: Noting>(b: &mut Bench<'_, D>, width: usize, with_weight: bool) -> Result<()> {
    let (rows, vocab) = (b.shape().rows(), b.shape().vocab);
    let (hidden, weight) = (b.input(rows * width)?, b.input(vocab * width)?);
    let targets: Vec<i32> = (0..rows).map(|r| (r * 37 % vocab) as i32).collect();
    let targets = b.indices(&targets)?;
    let (token_nll, logsumexp) = (b.result(DType::F32, rows)?, b.result(DType::F32, rows)?);
    let d_hidden = b.output(rows * width)?;
    let d_weight = match with_weight {
        true => Some(b.updated(vocab * width)?),
        false => None,
    };
    let wanted = if with_weight { ", d_weight" } else { "" };
    b.run(&format!("linear_cross_entropy (width {width}{wanted})"), |gpu| {
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
