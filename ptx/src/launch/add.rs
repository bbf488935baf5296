//! Launches of `kernels/add.cu`.

use super::{Arg, EntryPoint, Launch, Module, Storage};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "add", ptx: include_str!("../../compiled/sm_80/add.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[entry("add_f32"), entry("add_bf16")];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "add" }
}

/// Threads of a block; each takes 16 bytes.
const THREADS: u32 = 256;

/// `into += x`.
#[derive(Clone, Copy, Debug)]
pub struct Add {
    /// `[n]` storage.
    pub x: u64,
    /// `[n]` storage, added to.
    pub into: u64,
    /// Numbers, at least 1 and below 2^40.
    pub n: u64,
}

impl Add {
    /// Its launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let per_block = THREADS as u64 * 16 / storage.size() as u64;
        Launch {
            entry: storage.pick(&ENTRY_POINTS[0], &ENTRY_POINTS[1]),
            grid: [self.n.div_ceil(per_block) as u32, 1, 1],
            block: [THREADS, 1, 1],
            shared_bytes: 0,
            args: vec![Arg::Pointer(self.x), Arg::Pointer(self.into), Arg::U64(self.n)],
        }
    }
}
