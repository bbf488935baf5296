//! Launches of `kernels/swiglu.cu`.

use super::{Arg, EntryPoint, Launch, Module, Storage, rows};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "swiglu", ptx: include_str!("../../compiled/sm_80/swiglu.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("swiglu_forward_f32"),
    entry("swiglu_forward_bf16"),
    entry("swiglu_backward_f32"),
    entry("swiglu_backward_bf16"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "swiglu" }
}

/// Most threads of a block.
const THREADS: u32 = 512;

/// `out = silu(gate) * up`.
#[derive(Clone, Copy, Debug)]
pub struct SwigluForward {
    /// `[rows, 2, width]` storage: gate, then up.
    pub gate_up: u64,
    /// `[rows, width]` storage, overwritten.
    pub out: u64,
    /// Rows, at least 1.
    pub rows: u32,
    /// Hidden features, at least 1.
    pub width: u32,
}

impl SwigluForward {
    /// Its launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let block = rows::block(self.width, rows::vector(storage, self.width), THREADS);
        Launch {
            entry: storage.pick(&ENTRY_POINTS[0], &ENTRY_POINTS[1]),
            grid: [self.rows.div_ceil(block[1]), 1, 1],
            block,
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(self.gate_up),
                Arg::Pointer(self.out),
                Arg::U32(self.rows),
                Arg::U32(self.width),
            ],
        }
    }
}

/// `d_gate = d_out * up * silu'(gate)`, `d_up = d_out * silu(gate)`.
#[derive(Clone, Copy, Debug)]
pub struct SwigluBackward {
    /// `[rows, 2, width]` storage: gate, then up.
    pub gate_up: u64,
    /// `[rows, width]` storage.
    pub d_out: u64,
    /// `[rows, 2, width]` storage, overwritten.
    pub d_gate_up: u64,
    /// Rows, at least 1.
    pub rows: u32,
    /// Hidden features, at least 1.
    pub width: u32,
}

impl SwigluBackward {
    /// Its launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let block = rows::block(self.width, rows::vector(storage, self.width), THREADS);
        Launch {
            entry: storage.pick(&ENTRY_POINTS[2], &ENTRY_POINTS[3]),
            grid: [self.rows.div_ceil(block[1]), 1, 1],
            block,
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(self.gate_up),
                Arg::Pointer(self.d_out),
                Arg::Pointer(self.d_gate_up),
                Arg::U32(self.rows),
                Arg::U32(self.width),
            ],
        }
    }
}
