//! Rows of a table, gathered by token.

use ltm_ptx::launch::embedding;

use super::{Driver, Gpu, extent, fault, pointer, storage};
use crate::ops::{EmbeddingBackward, EmbeddingForward};
use crate::{Error, Result};

pub fn forward<D: Driver>(gpu: &mut Gpu<D>, args: &EmbeddingForward<'_>) -> Result<()> {
    const OP: &str = "embedding_forward";
    let mut launch = embedding::EmbeddingForward {
        table: pointer(gpu.id, OP, args.table)?,
        tokens: pointer(gpu.id, OP, args.tokens)?,
        out: pointer(gpu.id, OP, args.out)?,
        fault: 0,
        rows: extent(OP, "rows", args.rows)?,
        width: extent(OP, "width", args.width)?,
        vocab: extent(OP, "vocab", args.vocab)?,
    };
    if launch.rows == 0 {
        return Ok(());
    }
    launch.fault = fault::clear(gpu)?;
    gpu.launch(&launch.launch(storage(OP, "table", args.table)?))?;
    match fault::read(gpu, launch.fault)? {
        None => Ok(()),
        Some(row) => {
            let token = fault::integer(gpu, launch.tokens, row)?;
            Err(out_of_range(OP, token, row, args.vocab))
        }
    }
}

pub fn backward<D: Driver>(gpu: &mut Gpu<D>, args: &EmbeddingBackward<'_>) -> Result<()> {
    const OP: &str = "embedding_backward";
    let mut launch = embedding::EmbeddingBackward {
        d_out: pointer(gpu.id, OP, args.d_out)?,
        tokens: pointer(gpu.id, OP, args.tokens)?,
        order: pointer(gpu.id, OP, args.order)?,
        d_table: pointer(gpu.id, OP, args.d_table)?,
        fault: 0,
        rows: extent(OP, "rows", args.rows)?,
        width: extent(OP, "width", args.width)?,
        vocab: extent(OP, "vocab", args.vocab)?,
    };
    if launch.rows == 0 {
        return Ok(());
    }
    launch.fault = fault::clear(gpu)?;
    for launch in &launch.launches(storage(OP, "d_out", args.d_out)?) {
        gpu.launch(launch)?;
    }
    let Some(place) = fault::read(gpu, launch.fault)? else { return Ok(()) };
    let row = fault::integer(gpu, launch.order, place)?;
    let Some(row) = usize::try_from(row).ok().filter(|&row| row < args.rows) else {
        let detail = format!("order[{place}] is {row}, expected 0 to {}", args.rows - 1);
        return Err(Error::Value { op: OP, detail });
    };
    let token = fault::integer(gpu, launch.tokens, row)?;
    if token < 0 || token as usize >= args.vocab {
        return Err(out_of_range(OP, token, row, args.vocab));
    }
    let detail = format!("order is not sorted by token and row at {place}");
    Err(Error::Value { op: OP, detail })
}

fn out_of_range(op: &'static str, token: i32, row: usize, vocab: usize) -> Error {
    let detail = format!("token {token} at row {row}, expected 0 to {}", vocab - 1);
    Error::Value { op, detail }
}
