//! Rows of a table, gathered by token.

use ltm_ptx::launch::embedding;

use super::fault::Check;
use super::{Driver, Gpu, extent, pointer, storage};
use crate::Result;
use crate::ops::{EmbeddingBackward, EmbeddingForward};

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
    launch.fault = gpu.fault([Check::Token { op: OP, vocab: args.vocab }])?;
    gpu.launch(&launch.launch(storage(OP, "table", args.table)?))
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
    let token = Check::Token { op: OP, vocab: args.vocab };
    launch.fault = gpu.fault([Check::Order { rows: args.rows }, token, Check::Sorted])?;
    let launches = launch.launches(storage(OP, "d_out", args.d_out)?);
    launches.iter().try_for_each(|launch| gpu.launch(launch))
}
