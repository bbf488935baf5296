//! AdamW and the global norm.

use ltm_ptx::launch::adamw;

use super::{Driver, Gpu, extent, memory, optional, pointer};
use crate::ops::{AdamW, AdamWSegment, GlobalNorm};
use crate::{Buffer, DType, Error, Result};

/// Scratch slot of the sums of squares.
const PARTIAL: usize = 0;
/// Numbers beyond which a grid would not hold the blocks.
const MOST: u64 = 1 << 40;

/// Ends of segments in device memory, by their values: a model has one list of them, which must
/// be there when a step is recorded.
pub type Ends = Vec<(Vec<u64>, Buffer)>;

fn length(op: &'static str, what: &'static str, n: usize) -> Result<u64> {
    if (n as u64) < MOST {
        return Ok(n as u64);
    }
    let detail = format!("{what} holds {n} elements; the kernels take fewer than 2^40");
    Err(Error::Value { op, detail })
}

/// Where runs of segments that decay or not end, in turn, and whether the first decays.
fn ends(segments: &[AdamWSegment]) -> (Vec<u64>, bool) {
    let mut ends = Vec::new();
    let mut first = None;
    let mut decays = false;
    for segment in segments.iter().filter(|segment| segment.len > 0) {
        if first.is_none() || segment.decay != decays {
            first.get_or_insert(segment.decay);
            decays = segment.decay;
            ends.push(0);
        }
        if let Some(end) = ends.last_mut() {
            *end = (segment.offset + segment.len) as u64;
        }
    }
    (ends, first.unwrap_or(false))
}

pub fn step<D: Driver>(gpu: &mut Gpu<D>, args: &AdamW<'_>) -> Result<()> {
    const OP: &str = "adamw";
    let (ends, first_decays) = ends(args.segments);
    let mut launch = adamw::AdamW {
        params: pointer(gpu.id, OP, args.params)?,
        gradients: pointer(gpu.id, OP, args.gradients)?,
        first_moment: pointer(gpu.id, OP, args.first_moment)?,
        second_moment: pointer(gpu.id, OP, args.second_moment)?,
        copy: optional(gpu.id, OP, args.copy)?,
        clip: optional(gpu.id, OP, args.clip)?,
        ends: 0,
        segments: extent(OP, "segments", ends.len())?,
        first_decays,
        n: length(OP, "params", args.params.len())?,
        step: pointer(gpu.id, OP, args.step)?,
    };
    if launch.n == 0 {
        return Ok(());
    }
    launch.ends = ends_on_device(gpu, ends)?;
    gpu.launch(&launch.launch())
}

fn ends_on_device<D: Driver>(gpu: &mut Gpu<D>, ends: Vec<u64>) -> Result<u64> {
    if let Some((_, buffer)) = gpu.ends.iter().find(|(known, _)| *known == ends) {
        return Ok(buffer.address() as u64);
    }
    let buffer = memory::alloc(&mut gpu.driver, gpu.id, DType::F64, ends.len())?;
    let address = buffer.address() as u64;
    let bytes: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
    gpu.driver.upload(address, &bytes)?;
    gpu.ends.push((ends, buffer));
    Ok(address)
}

pub fn global_norm<D: Driver>(gpu: &mut Gpu<D>, args: &GlobalNorm<'_>) -> Result<()> {
    const OP: &str = "global_norm";
    let n = length(OP, "gradients", args.gradients.len())?;
    let launch = adamw::GlobalNorm {
        gradients: pointer(gpu.id, OP, args.gradients)?,
        out: pointer(gpu.id, OP, args.out)?,
        scratch: gpu.scratch(PARTIAL, adamw::GlobalNorm::scratch_bytes(n))?,
        n,
        limit: args.limit,
    };
    launch.launches().iter().try_for_each(|launch| gpu.launch(launch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(of: &[(usize, bool)]) -> Vec<AdamWSegment> {
        let mut offset = 0;
        let segment = |&(len, decay): &(usize, bool)| {
            offset += len;
            AdamWSegment { offset: offset - len, len, decay }
        };
        of.iter().map(segment).collect()
    }

    #[test]
    fn segments_that_decay_alike_are_one() {
        let list = segments(&[(3, true), (4, true), (0, false), (2, false), (1, true)]);
        assert_eq!(ends(&list), (vec![7, 9, 10], true));
        assert_eq!(ends(&segments(&[(0, true), (5, false), (0, true)])), (vec![5], false));
        assert_eq!(ends(&[]), (vec![], false));
    }
}
