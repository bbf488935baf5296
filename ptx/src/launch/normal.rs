//! Launches of `kernels/normal.cu`.

use super::{Arg, EntryPoint, Launch, Module};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "normal", ptx: include_str!("../../compiled/sm_80/normal.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[EntryPoint { name: "normal_f32", module: "normal" }];

/// Threads of a block; each draws four numbers of a sample.
const THREADS: u32 = 128;
/// Most blocks in y.
const MOST_Y: u32 = 65_535;

/// `out[s, i] = mean + std * normal`.
#[derive(Clone, Copy, Debug)]
pub struct Normal {
    /// `[samples, per_sample]` f32, overwritten.
    pub out: u64,
    /// Key of the generator.
    pub seed: u64,
    /// What the numbers are for.
    pub site: u32,
    /// Training iteration.
    pub iteration: u32,
    /// Index of the first sequence.
    pub first_sample: u32,
    /// Sequences, at least 1.
    pub samples: u32,
    /// Numbers per sequence, at least 1.
    pub per_sample: u32,
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub std: f32,
}

impl Normal {
    /// Its launch.
    pub fn launch(&self) -> Launch {
        Launch {
            entry: &ENTRY_POINTS[0],
            grid: [self.per_sample.div_ceil(4 * THREADS), self.samples.min(MOST_Y), 1],
            block: [THREADS, 1, 1],
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(self.out),
                Arg::U64(self.seed),
                Arg::U32(self.site),
                Arg::U32(self.iteration),
                Arg::U32(self.first_sample),
                Arg::U32(self.samples),
                Arg::U32(self.per_sample),
                Arg::F32(self.mean),
                Arg::F32(self.std),
            ],
        }
    }
}
