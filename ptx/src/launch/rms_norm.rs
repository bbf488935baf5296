//! Launches of `kernels/rms_norm.cu`.

use super::{Arg, EntryPoint, Launch, Module, Storage, rows};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "rms_norm", ptx: include_str!("../../compiled/sm_80/rms_norm.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("rms_norm_forward_f32"),
    entry("rms_norm_forward_bf16"),
    entry("rms_norm_backward_f32"),
    entry("rms_norm_backward_bf16"),
    entry("rms_norm_backward_weight_f32"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "rms_norm" }
}

/// Most threads of a block.
const THREADS: u32 = 256;
/// Numbers of a row that a thread holds in registers.
const HELD: u32 = 16;
/// Rows of a block forward, where there are enough of them: the weight is read once per block.
const ROWS_FORWARD: u32 = 32;
/// Rows from which on the weight's share of the traffic matters more than blocks to spread.
const MANY_ROWS: u32 = 256;
/// Rows of a block backward: each leaves a row of partial sums.
const ROWS_BACKWARD: u32 = 64;
/// Columns of a block that adds the partial sums.
const COLUMNS: u32 = 128;

fn block(width: u32) -> [u32; 3] {
    rows::block(width, HELD, THREADS)
}

/// Dynamic shared memory for the weight and what else the kernel keeps: nothing that depends on
/// the width where rows are too wide for registers.
fn shared_bytes(width: u32, per_column: u32, at_least: u32) -> u32 {
    if width > HELD * THREADS { at_least } else { (width * per_column).max(at_least) }
}

/// `out = x * inv_rms * weight` with `inv_rms = 1 / sqrt(mean(x^2) + eps)` per row, after adding
/// a residual to `x`.
#[derive(Clone, Copy, Debug)]
pub struct RmsNormForward {
    /// `[rows, width]` storage.
    pub x: u64,
    /// `[rows, width]` storage, added to `x`; 0 for none.
    pub delta: u64,
    /// `[rows, width]` storage, overwritten with `x + delta`; 0 without `delta`.
    pub sum: u64,
    /// `[width]` storage.
    pub weight: u64,
    /// `[rows, width]` storage, overwritten.
    pub out: u64,
    /// `[rows]` f32, overwritten.
    pub inv_rms: u64,
    /// Rows, at least 1.
    pub rows: u32,
    /// Numbers per row, at least 1.
    pub width: u32,
    /// Added to the mean square.
    pub eps: f32,
}

impl RmsNormForward {
    /// Its launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let block = block(self.width);
        let rows_per_block = if self.rows < MANY_ROWS { block[1] } else { ROWS_FORWARD };
        Launch {
            entry: storage.pick(&ENTRY_POINTS[0], &ENTRY_POINTS[1]),
            grid: [self.rows.div_ceil(rows_per_block), 1, 1],
            block,
            shared_bytes: shared_bytes(self.width, storage.size() as u32, 0),
            args: vec![
                Arg::Pointer(self.x),
                Arg::Pointer(self.delta),
                Arg::Pointer(self.sum),
                Arg::Pointer(self.weight),
                Arg::Pointer(self.out),
                Arg::Pointer(self.inv_rms),
                Arg::U32(self.rows),
                Arg::U32(self.width),
                Arg::U32(rows_per_block),
                Arg::F32(self.eps),
            ],
        }
    }
}

/// With `u = d_out * weight` and `x^ = x * inv_rms`:
/// `d_x = inv_rms * (u - x^ * mean(u * x^))`, `d_weight += sum over rows of d_out * x^`.
#[derive(Clone, Copy, Debug)]
pub struct RmsNormBackward {
    /// `[rows, width]` storage.
    pub d_out: u64,
    /// `[rows, width]` storage: what was normalised.
    pub x: u64,
    /// `[width]` storage.
    pub weight: u64,
    /// `[rows]` f32 from the forward pass.
    pub inv_rms: u64,
    /// `[rows, width]` storage; 0 if it is not wanted.
    pub d_x: u64,
    /// Add to `d_x` or overwrite it.
    pub accumulate: bool,
    /// `[width]` f32, added to; 0 if it is not wanted.
    pub d_weight: u64,
    /// [`RmsNormBackward::scratch_bytes`] of device memory, contents undefined; 0 without
    /// `d_weight`.
    pub scratch: u64,
    /// Rows, at least 1.
    pub rows: u32,
    /// Numbers per row, at least 1.
    pub width: u32,
}

impl RmsNormBackward {
    /// Device scratch that a call with `d_weight` needs: one row of f32 sums per block.
    pub const fn scratch_bytes(rows: usize, width: usize) -> usize {
        rows.div_ceil(ROWS_BACKWARD as usize) * width * 4
    }

    /// Its launches, in order; none if neither gradient is wanted.
    pub fn launches(&self, storage: Storage) -> Vec<Launch> {
        if self.d_x == 0 && self.d_weight == 0 {
            return Vec::new();
        }
        let blocks = self.rows.div_ceil(ROWS_BACKWARD);
        let partial = if self.d_weight == 0 { 0 } else { self.scratch };
        let mut launches = vec![Launch {
            entry: storage.pick(&ENTRY_POINTS[2], &ENTRY_POINTS[3]),
            grid: [blocks, 1, 1],
            block: block(self.width),
            // The weight, later partial sums in f32; one number per row where rows are long.
            shared_bytes: shared_bytes(self.width, 4, ROWS_BACKWARD * 4),
            args: vec![
                Arg::Pointer(self.d_out),
                Arg::Pointer(self.x),
                Arg::Pointer(self.weight),
                Arg::Pointer(self.inv_rms),
                Arg::Pointer(self.d_x),
                Arg::Pointer(partial),
                Arg::U32(self.rows),
                Arg::U32(self.width),
                Arg::U32(ROWS_BACKWARD),
                Arg::U32(self.accumulate.into()),
            ],
        }];
        if self.d_weight != 0 {
            launches.push(Launch {
                entry: &ENTRY_POINTS[4],
                grid: [self.width.div_ceil(COLUMNS), 1, 1],
                block: [COLUMNS, 1, 1],
                shared_bytes: 0,
                args: vec![
                    Arg::Pointer(partial),
                    Arg::Pointer(self.d_weight),
                    Arg::U32(blocks),
                    Arg::U32(self.width),
                ],
            });
        }
        launches
    }
}
