//! Drawing the next token.

use ltm_ptx::launch::sample;

use super::fault::Check;
use super::{Driver, Gpu, extent, pointer, storage};
use crate::Result;
use crate::ops::Sample;

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
    launch.fault = gpu.fault([Check::Logit { vocab: args.vocab }])?;
    gpu.launch(&launch.launch(storage))
}
