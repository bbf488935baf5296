//! Noise by the counter-based generator.

use ltm_ptx::launch::normal;

use super::{Driver, Gpu, extent, pointer};
use crate::Result;
use crate::ops::Normal;

pub fn fill<D: Driver>(gpu: &mut Gpu<D>, args: &Normal<'_>) -> Result<()> {
    const OP: &str = "normal";
    let launch = normal::Normal {
        out: pointer(gpu.id, OP, args.out)?,
        seed: args.seed,
        site: args.site,
        iteration: args.iteration,
        first_sample: args.first_sample,
        samples: extent(OP, "samples", args.samples)?,
        per_sample: extent(OP, "per_sample", args.per_sample)?,
        mean: args.mean,
        std: args.std,
    };
    if launch.samples == 0 || launch.per_sample == 0 {
        return Ok(());
    }
    gpu.launch(&launch.launch())
}
