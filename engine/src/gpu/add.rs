//! Accumulation of one buffer into another.

use ltm_ptx::launch::add;

use super::{Driver, Gpu, pointer, storage};
use crate::Result;
use crate::ops::Add;

pub fn accumulate<D: Driver>(gpu: &mut Gpu<D>, args: &Add<'_>) -> Result<()> {
    const OP: &str = "add";
    let [x, into] = [args.x, args.into].map(|b| pointer(gpu.id, OP, b));
    let launch = add::Add { x: x?, into: into?, n: args.into.len() as u64 };
    if launch.n == 0 {
        return Ok(());
    }
    gpu.launch(&launch.launch(storage(OP, "into", args.into)?))
}
