//! Launches of `kernels/adamw.cu`: the optimiser and the norm that clips its gradients.

use super::{Arg, EntryPoint, Launch, Module};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "adamw", ptx: include_str!("../../compiled/sm_80/adamw.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] =
    &[entry("adamw_f32"), entry("global_norm_partial_f32"), entry("global_norm_f32")];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "adamw" }
}

/// Threads of a block.
const THREADS: u32 = 256;
/// Parameters of a block.
const PER_BLOCK: u64 = 4 * THREADS as u64;
/// Gradients whose squares one block adds up.
const CHUNK: u64 = 16_384;

/// Numbers that make up the constants of a step: the learning rate, `1 - rate * decay`, beta1,
/// `1 - beta1`, beta2, `1 - beta2`, `1 - beta1^t`, `1 - beta2^t` and eps, each rounded once to f32.
pub const CONSTANTS: usize = 9;

/// One step on a flat vector of parameters.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// `[n]` f32, updated.
    pub params: u64,
    /// `[n]` f32.
    pub gradients: u64,
    /// `[n]` f32, updated.
    pub first_moment: u64,
    /// `[n]` f32, updated.
    pub second_moment: u64,
    /// `[n]` bf16, overwritten with the new parameters; 0 for none.
    pub copy: u64,
    /// `[2]` f64 as written by [`GlobalNorm`], nothing being done if its norm is not finite; 0
    /// for a factor of 1.
    pub clip: u64,
    /// `[segments]` u64: where each segment ends, ascending, the last at `n`. Segments decay and
    /// do not decay in turn.
    pub ends: u64,
    /// Segments, at least 1.
    pub segments: u32,
    /// Whether the first segment decays.
    pub first_decays: bool,
    /// Parameters, at least 1 and below 2^40.
    pub n: u64,
    /// [`CONSTANTS`] f32.
    pub step: u64,
}

impl AdamW {
    /// Its launch.
    pub fn launch(&self) -> Launch {
        let args = vec![
            Arg::Pointer(self.params),
            Arg::Pointer(self.gradients),
            Arg::Pointer(self.first_moment),
            Arg::Pointer(self.second_moment),
            Arg::Pointer(self.copy),
            Arg::Pointer(self.clip),
            Arg::Pointer(self.ends),
            Arg::U64(self.n),
            Arg::Pointer(self.step),
            Arg::U32(self.segments),
            Arg::U32(self.first_decays.into()),
        ];
        Launch {
            entry: &ENTRY_POINTS[0],
            grid: [self.n.div_ceil(PER_BLOCK) as u32, 1, 1],
            block: [THREADS, 1, 1],
            shared_bytes: 0,
            args,
        }
    }
}

/// `out = [norm, factor]` with `factor = min(1, limit / (norm + 1e-6))`, or 1 for a limit of 0.
#[derive(Clone, Copy, Debug)]
pub struct GlobalNorm {
    /// `[n]` f32.
    pub gradients: u64,
    /// `[2]` f64, overwritten.
    pub out: u64,
    /// [`GlobalNorm::scratch_bytes`] of device memory, contents undefined.
    pub scratch: u64,
    /// Gradients; below 2^40.
    pub n: u64,
    /// Norm that is not exceeded after clipping; 0 disables.
    pub limit: f64,
}

impl GlobalNorm {
    /// Device scratch of a call: one f64 per block.
    pub const fn scratch_bytes(n: u64) -> usize {
        n.div_ceil(CHUNK) as usize * 8
    }

    /// Its launches, in order.
    pub fn launches(&self) -> Vec<Launch> {
        let blocks = self.n.div_ceil(CHUNK) as u32;
        let block = [THREADS, 1, 1];
        let mut launches = Vec::new();
        if blocks > 0 {
            launches.push(Launch {
                entry: &ENTRY_POINTS[1],
                grid: [blocks, 1, 1],
                block,
                shared_bytes: 0,
                args: vec![
                    Arg::Pointer(self.gradients),
                    Arg::Pointer(self.scratch),
                    Arg::U64(self.n),
                ],
            });
        }
        launches.push(Launch {
            entry: &ENTRY_POINTS[2],
            grid: [1, 1, 1],
            block,
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(self.scratch),
                Arg::Pointer(self.out),
                Arg::U32(blocks),
                Arg::F64(self.limit),
            ],
        });
        launches
    }
}
