//! Operations that go row by row or number by number.

use super::bench::Bench;
use super::noting::Noting;
use crate::ops::*;
use crate::{DType, Result};

pub fn measure<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    embedding(b)?;
    rms_norm(b)?;
    swiglu(b)?;
    let n = b.shape().rows() * b.shape().dim();
    let (x, into) = (b.input(n)?, b.touched(n, 2 * n)?);
    b.run("add", |gpu| gpu.add(&Add { x: &x, into: &into }))
}

fn embedding<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let s = b.shape();
    let (rows, width, vocab) = (s.rows(), s.dim(), s.vocab);
    // As text is: some tokens often, most never.
    let ids: Vec<i32> = (0..rows).map(|r| (r * r * 7 % 113 * 8) as i32).collect();
    let mut order: Vec<i32> = (0..rows as i32).collect();
    order.sort_by_key(|&row| ids[row as usize]);
    let mut seen = ids.clone();
    seen.sort_unstable();
    seen.dedup();

    let tokens = b.indices(&ids)?;
    let table = b.touched(vocab * width, seen.len() * width)?;
    let out = b.output(rows * width)?;
    b.run("embedding_forward", |gpu| {
        let (table, tokens, out) = (&table, &tokens, &out);
        gpu.embedding_forward(&EmbeddingForward { table, tokens, out, rows, width, vocab })
    })?;

    let (tokens, order) = (b.indices(&ids)?, b.indices(&order)?);
    let d_out = b.input(rows * width)?;
    // The rows of tokens that do not occur stay as they are.
    let d_table = b.updated_in_part(vocab * width, seen.len() * width)?;
    b.run("embedding_backward", |gpu| {
        gpu.embedding_backward(&EmbeddingBackward {
            d_out: &d_out,
            tokens: &tokens,
            order: &order,
            d_table: &d_table,
            rows,
            width,
            vocab,
        })
    })
}

fn rms_norm<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let (rows, width) = (b.shape().rows(), b.shape().dim());
    let n = rows * width;
    for residual in [false, true] {
        let (x, weight) = (b.input(n)?, b.input(width)?);
        let (out, inv_rms) = (b.output(n)?, b.result(DType::F32, rows)?);
        let added = match residual {
            true => Some((b.input(n)?, b.output(n)?)),
            false => None,
        };
        let name = if residual { "rms_norm_forward (residual)" } else { "rms_norm_forward" };
        b.run(name, |gpu| {
            gpu.rms_norm_forward(&RmsNormForward {
                x: &x,
                residual: added.as_ref().map(|(delta, sum)| ResidualAdd { delta, sum }),
                weight: &weight,
                out: &out,
                inv_rms: &inv_rms,
                rows,
                width,
                eps: 1e-5,
            })
        })?;
    }
    let (d_out, x, weight) = (b.input(n)?, b.input(n)?, b.input(width)?);
    let inv_rms = b.floats(rows)?;
    let (d_x, d_weight) = (b.output(n)?, b.updated(width)?);
    b.run("rms_norm_backward", |gpu| {
        gpu.rms_norm_backward(&RmsNormBackward {
            d_out: &d_out,
            x: &x,
            weight: &weight,
            inv_rms: &inv_rms,
            d_x: Some(&d_x),
            accumulate: false,
            d_weight: Some(&d_weight),
            rows,
            width,
        })
    })
}

fn swiglu<D: Noting>(b: &mut Bench<'_, D>) -> Result<()> {
    let (rows, width) = (b.shape().rows(), b.shape().ffn);
    let n = rows * width;
    let (gate_up, out) = (b.input(2 * n)?, b.output(n)?);
    b.run("swiglu_forward", |gpu| {
        gpu.swiglu_forward(&SwigluForward { gate_up: &gate_up, out: &out, rows, width })
    })?;
    let (gate_up, d_out, d_gate_up) = (b.input(2 * n)?, b.input(n)?, b.output(2 * n)?);
    b.run("swiglu_backward", |gpu| {
        let (gate_up, d_out, d_gate_up) = (&gate_up, &d_out, &d_gate_up);
        gpu.swiglu_backward(&SwigluBackward { gate_up, d_out, d_gate_up, rows, width })
    })
}
