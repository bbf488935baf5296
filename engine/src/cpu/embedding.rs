//! Gather and ordered scatter-add.

use super::math::axpy;
use super::memory::{read, write};
use super::parallel::Shared;
use super::pool::for_each;
use crate::ops::{EmbeddingBackward, EmbeddingForward};
use crate::{DeviceId, Error, Result};

/// Positions per task.
const BLOCK: usize = 256;

fn check_tokens(op: &'static str, tokens: &[i32], vocab: usize) -> Result<()> {
    match tokens.iter().position(|&t| t < 0 || t as usize >= vocab) {
        None => Ok(()),
        Some(row) => Err(Error::Value {
            op,
            detail: format!("token {} at row {row}, expected 0 to {}", tokens[row], vocab - 1),
        }),
    }
}

pub fn forward(device: DeviceId, args: &EmbeddingForward<'_>) -> Result<()> {
    const OP: &str = "embedding_forward";
    let table = read::<f32>(device, OP, args.table)?;
    let tokens = read::<i32>(device, OP, args.tokens)?;
    let out = write::<f32>(device, OP, args.out)?;
    let width = args.width;
    check_tokens(OP, tokens, args.vocab)?;
    for_each(out.chunks_mut(BLOCK * width).zip(tokens.chunks(BLOCK)), |(out, tokens)| {
        for (out, &token) in out.chunks_exact_mut(width).zip(tokens) {
            let first = token as usize * width;
            out.copy_from_slice(&table[first..first + width]);
        }
    });
    Ok(())
}

pub fn backward(device: DeviceId, args: &EmbeddingBackward<'_>) -> Result<()> {
    const OP: &str = "embedding_backward";
    let d_out = read::<f32>(device, OP, args.d_out)?;
    let tokens = read::<i32>(device, OP, args.tokens)?;
    let order = read::<i32>(device, OP, args.order)?;
    let d_table = Shared::new(write::<f32>(device, OP, args.d_table)?);
    let (rows, width) = (args.rows, args.width);
    check_tokens(OP, tokens, args.vocab)?;
    check_order(OP, order, tokens)?;
    let token_at = |i: usize| tokens[order[i] as usize] as usize;
    for_each(0..rows.div_ceil(BLOCK), |block| {
        let end = ((block + 1) * BLOCK).min(rows);
        let mut i = block * BLOCK;
        // A run of one token belongs to the block in which it starts.
        while i > 0 && i < end && token_at(i) == token_at(i - 1) {
            i += 1;
        }
        while i < end {
            let token = token_at(i);
            // SAFETY: `order` is sorted by token, so the rows of a token form one run, and only
            // the block in which the run starts touches this row of the table.
            let row = unsafe { d_table.part(token * width..(token + 1) * width) };
            while i < rows && token_at(i) == token {
                let from = order[i] as usize * width;
                axpy(1.0, &d_out[from..from + width], row);
                i += 1;
            }
        }
    });
    Ok(())
}

/// `order` lists rows in range, sorted by token and then by row, so each once. Disjointness of
/// the tasks rests on it.
fn check_order(op: &'static str, order: &[i32], tokens: &[i32]) -> Result<()> {
    let rows = tokens.len();
    if let Some(i) = order.iter().position(|&r| r < 0 || r as usize >= rows) {
        let detail = format!("order[{i}] is {}, expected 0 to {}", order[i], rows - 1);
        return Err(Error::Value { op, detail });
    }
    let key = |i: usize| (tokens[order[i] as usize], order[i]);
    if let Some(i) = (1..rows).find(|&i| key(i - 1) >= key(i)) {
        let detail = format!("order is not sorted by token and row at {i}");
        return Err(Error::Value { op, detail });
    }
    Ok(())
}
