//! Noise by the counter-based generator.

use super::memory::write;
use super::pool::for_each;
use crate::ops::Normal;
use crate::philox::Stream;
use crate::{DeviceId, Result};

/// Numbers per task; a multiple of the four of a block.
const BLOCK: usize = 4096;

pub fn fill(device: DeviceId, args: &Normal<'_>) -> Result<()> {
    let out = write::<f32>(device, "normal", args.out)?;
    if args.per_sample == 0 {
        return Ok(());
    }
    for (sample, out) in out.chunks_mut(args.per_sample).enumerate() {
        let stream = Stream {
            seed: args.seed,
            site: args.site,
            sample: args.first_sample.wrapping_add(sample as u32),
            iteration: args.iteration,
        };
        for_each(out.chunks_mut(BLOCK).enumerate(), |(block, out)| {
            for (i, out) in out.chunks_mut(4).enumerate() {
                let numbers = stream.normals((block * (BLOCK / 4) + i) as u32);
                out.iter_mut().zip(numbers).for_each(|(out, x)| *out = args.mean + args.std * x);
            }
        });
    }
    Ok(())
}
