//! Launches of `kernels/sample.cu`.

use super::{Arg, EntryPoint, Launch, Module, Storage};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "sample", ptx: include_str!("../../compiled/sm_80/sample.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[entry("sample_f32"), entry("sample_bf16")];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "sample" }
}

/// Threads of a block, which does one row.
const THREADS: u32 = 512;

/// Draws one token per row from `softmax(logits / temperature)`, cut by `top_k` and `top_p`.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// `[rows, vocab]` storage.
    pub logits: u64,
    /// `[rows]` i32, overwritten; rows with a logit that is not finite are left alone.
    pub tokens: u64,
    /// `[1]` u64 that takes the complement of `4 * index + kind` of the first logit that is not
    /// finite, the kind being 0 for NaN, 1 for infinity and 2 for -infinity; left alone where
    /// there is none.
    pub fault: u64,
    /// Rows, at least 1.
    pub rows: u32,
    /// Logits per row, at least 1.
    pub vocab: u32,
    /// 0 takes the most probable token.
    pub temperature: f32,
    /// 0 keeps all tokens.
    pub top_k: u64,
    /// In `(0, 1]`; 1 keeps all tokens.
    pub top_p: f32,
    /// Key of the generator.
    pub seed: u64,
    /// What the numbers are for.
    pub site: u32,
    /// Number of the first row's stream.
    pub first_sample: u32,
    /// Training iteration.
    pub iteration: u32,
    /// Position of the token that is drawn.
    pub position: u32,
}

impl Sample {
    /// Its launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        Launch {
            entry: storage.pick(&ENTRY_POINTS[0], &ENTRY_POINTS[1]),
            grid: [self.rows, 1, 1],
            block: [THREADS, 1, 1],
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(self.logits),
                Arg::Pointer(self.tokens),
                Arg::Pointer(self.fault),
                Arg::U32(self.vocab),
                Arg::F32(self.temperature),
                Arg::U64(self.top_k),
                Arg::F32(self.top_p),
                Arg::U64(self.seed),
                Arg::U32(self.site),
                Arg::U32(self.first_sample),
                Arg::U32(self.iteration),
                Arg::U32(self.position),
            ],
        }
    }
}
