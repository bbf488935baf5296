//! Vocabulary projection with cross-entropy.

use ltm_ptx::launch::linear_cross_entropy;

use super::fault::Check;
use super::{Driver, Gpu, extent, optional, pointer, storage};
use crate::Result;
use crate::ops::LinearCrossEntropy;

/// Slot of the device scratch: statistics and cuts. Its contents do not outlive a call, so
/// operations may share it.
const SCRATCH: usize = 0;

/// A target that is not below the vocabulary makes its loss NaN too.
pub fn forward_backward<D: Driver>(gpu: &mut Gpu<D>, args: &LinearCrossEntropy<'_>) -> Result<()> {
    const OP: &str = "linear_cross_entropy";
    let storage = storage(OP, "hidden", args.hidden)?;
    let launch = linear_cross_entropy::LinearCrossEntropy {
        hidden: pointer(gpu.id, OP, args.hidden)?,
        weight: pointer(gpu.id, OP, args.weight)?,
        targets: pointer(gpu.id, OP, args.targets)?,
        token_nll: pointer(gpu.id, OP, args.token_nll)?,
        logsumexp: pointer(gpu.id, OP, args.logsumexp)?,
        d_hidden: optional(gpu.id, OP, args.d_hidden)?,
        d_weight: optional(gpu.id, OP, args.d_weight)?,
        fault: gpu.fault([Check::Target { vocab: args.vocab }])?,
        scale: args.scale,
        rows: extent(OP, "rows", args.rows)?,
        width: extent(OP, "width", args.width)?,
        vocab: extent(OP, "vocab", args.vocab)?,
    };
    let scratch = gpu.scratch(SCRATCH, launch.scratch_bytes(storage))?;
    launch.launches(storage, scratch).iter().try_for_each(|launch| gpu.launch(launch))
}
