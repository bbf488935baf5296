//! What a pass found of each sequence.

use ltm_ptx::launch::trace;

use super::fault::Check;
use super::{Driver, Gpu, extent, pointer};
use crate::Result;
use crate::ops::Trace;

pub fn record<D: Driver>(gpu: &mut Gpu<D>, args: &Trace<'_>) -> Result<()> {
    const OP: &str = "trace";
    let mut launch = trace::Trace {
        token_nll: pointer(gpu.id, OP, args.token_nll)?,
        kl: pointer(gpu.id, OP, args.kl)?,
        step: pointer(gpu.id, OP, args.step)?,
        trace: pointer(gpu.id, OP, args.trace)?,
        fault: 0,
        samples: extent(OP, "samples", args.samples)?,
        seq: extent(OP, "seq", args.seq)?,
        rows: extent(OP, "rows", args.rows)?,
    };
    if launch.samples == 0 {
        return Ok(());
    }
    launch.fault = gpu.fault([Check::Step { op: OP, steps: args.rows }])?;
    gpu.launch(&launch.launch())
}
