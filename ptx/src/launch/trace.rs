//! Launches of `kernels/trace.cu`.

use super::{Arg, EntryPoint, Launch, Module};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "trace", ptx: include_str!("../../compiled/sm_80/trace.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[EntryPoint { name: "trace_f32", module: "trace" }];

/// Threads of a block, which does one sequence.
const THREADS: u32 = 256;

/// Writes down the loss and the KL of each sequence as one step of its trace, and counts it.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    /// `[samples, seq]` f32.
    pub token_nll: u64,
    /// `[samples]` f64.
    pub kl: u64,
    /// `[samples]` i32: the row to write; counted up.
    pub step: u64,
    /// `[rows, 2, samples]` f64, one row overwritten.
    pub trace: u64,
    /// `[1]` u64 that takes the complement of `sample << 32 | step` of the first sample whose step
    /// is not below `rows`; left alone where there is none.
    pub fault: u64,
    /// Sequences, at least 1.
    pub samples: u32,
    /// Tokens of a sequence.
    pub seq: u32,
    /// Steps of the trace.
    pub rows: u32,
}

impl Trace {
    /// Its launch.
    pub fn launch(&self) -> Launch {
        Launch {
            entry: &ENTRY_POINTS[0],
            grid: [self.samples, 1, 1],
            block: [THREADS, 1, 1],
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(self.token_nll),
                Arg::Pointer(self.kl),
                Arg::Pointer(self.step),
                Arg::Pointer(self.trace),
                Arg::Pointer(self.fault),
                Arg::U32(self.seq),
                Arg::U32(self.rows),
            ],
        }
    }
}
