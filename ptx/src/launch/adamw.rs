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

/// Constants of one AdamW step, rounded once to f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    lr: f32,
    keep: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    correction1: f32,
    correction2: f32,
    eps: f32,
}

impl Adam {
    /// Constants of step `number` (from 1). `weight_decay` is that of the elements that decay.
    pub fn new(lr: f64, beta1: f64, beta2: f64, eps: f64, weight_decay: f64, number: u64) -> Self {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        Self {
            lr: lr as f32,
            keep: (1.0 - lr * weight_decay) as f32,
            beta1: beta1 as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            correction1: (1.0 - beta1.powi(number)) as f32,
            correction2: (1.0 - beta2.powi(number)) as f32,
            eps: eps as f32,
        }
    }

    /// As the kernels take them.
    pub(super) fn args(&self) -> [Arg; 9] {
        [
            self.lr,
            self.keep,
            self.beta1,
            self.one_minus_beta1,
            self.beta2,
            self.one_minus_beta2,
            self.correction1,
            self.correction2,
            self.eps,
        ]
        .map(Arg::F32)
    }
}

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
    /// `[2]` f64 as written by [`GlobalNorm`]; 0 for a factor of 1.
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
    /// Constants.
    pub adam: Adam,
}

impl AdamW {
    /// Its launch.
    pub fn launch(&self) -> Launch {
        let mut args = vec![
            Arg::Pointer(self.params),
            Arg::Pointer(self.gradients),
            Arg::Pointer(self.first_moment),
            Arg::Pointer(self.second_moment),
            Arg::Pointer(self.copy),
            Arg::Pointer(self.clip),
            Arg::Pointer(self.ends),
            Arg::U64(self.n),
            Arg::U32(self.segments),
            Arg::U32(self.first_decays.into()),
        ];
        args.extend(self.adam.args());
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
