//! Drawing the next token.

use ltm_ptx::Storage;
use ltm_ptx::launch::sample;

use super::{Driver, Gpu, extent, fault, pointer, storage};
use crate::ops::Sample;
use crate::{Error, Result};

pub fn draw<D: Driver>(gpu: &mut Gpu<D>, args: &Sample<'_>) -> Result<()> {
    const OP: &str = "sample";
    let storage = storage(OP, "logits", args.logits)?;
    let mut launch = sample::Sample {
        logits: pointer(gpu.id, OP, args.logits)?,
        tokens: pointer(gpu.id, OP, args.tokens)?,
        fault: 0,
        rows: extent(OP, "rows", args.rows)?,
        vocab: extent(OP, "vocab", args.vocab)?,
        temperature: args.temperature,
        top_k: args.top_k as u64,
        top_p: args.top_p,
        seed: args.stream.seed,
        site: args.stream.site,
        first_sample: args.stream.sample,
        iteration: args.stream.iteration,
        position: args.position,
    };
    if launch.rows == 0 {
        return Ok(());
    }
    launch.fault = fault::clear(gpu)?;
    gpu.launch(&launch.launch(storage))?;
    let Some(at) = fault::read(gpu, launch.fault)? else { return Ok(()) };
    let logit = number(gpu, launch.logits, at, storage)?;
    let (row, i) = (at / args.vocab, at % args.vocab);
    Err(Error::Value { op: OP, detail: format!("logit {i} of row {row} is {logit}") })
}

/// Element `index` of an array of numbers at `address`.
fn number<D: Driver>(gpu: &mut Gpu<D>, address: u64, index: usize, of: Storage) -> Result<f32> {
    let mut bytes = [0; 4];
    let size = of.size();
    // bf16 is the upper half of f32.
    gpu.driver.download(address + (index * size) as u64, &mut bytes[4 - size..])?;
    Ok(f32::from_le_bytes(bytes))
}
