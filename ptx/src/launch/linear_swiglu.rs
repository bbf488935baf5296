//! Launches of `kernels/linear_swiglu.cu`.

use super::linear::{Choice, LinearForward, VECTOR_ROWS, Variants, aligned};
use super::swiglu::SwigluForward;
use super::{Arg, EntryPoint, Launch, Module, Storage};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "linear_swiglu", ptx: include_str!("../../compiled/sm_80/linear_swiglu.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("linear_swiglu_forward_f32"),
    entry("linear_swiglu_forward_bf16"),
    entry("linear_swiglu_forward_small_bf16"),
    entry("linear_swiglu_forward_ragged_bf16"),
    entry("linear_swiglu_backward_f32"),
    entry("linear_swiglu_backward_bf16"),
    entry("linear_swiglu_backward_small_bf16"),
    entry("linear_swiglu_backward_ragged_bf16"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "linear_swiglu" }
}

const FORWARD: Variants = Variants {
    f32: &ENTRY_POINTS[0],
    large: &ENTRY_POINTS[1],
    small: &ENTRY_POINTS[2],
    ragged: &ENTRY_POINTS[3],
};
const BACKWARD: Variants = Variants {
    f32: &ENTRY_POINTS[4],
    large: &ENTRY_POINTS[5],
    small: &ENTRY_POINTS[6],
    ragged: &ENTRY_POINTS[7],
};

/// Features whose gate and up lie side by side in a tile, as in the kernels.
const fn group(storage: Storage) -> u32 {
    match storage {
        Storage::F32 => 2,
        Storage::Bf16 => 16,
    }
}

/// `gate_up = x weight^T`, `out = silu(gate) * up`; extents below 2^31, the columns of `gate_up` too.
#[derive(Clone, Copy, Debug)]
pub struct LinearSwigluForward {
    /// `[rows, inner]`.
    pub x: u64,
    /// `[2 * width, inner]`: the rows of gate, then those of up.
    pub weight: u64,
    /// `[rows, 2, width]`, overwritten.
    pub gate_up: u64,
    /// `[rows, width]`, overwritten.
    pub out: u64,
    /// Rows of `x`, at least 1.
    pub rows: u32,
    /// Input features.
    pub inner: u32,
    /// Hidden features, at least 1.
    pub width: u32,
}

impl LinearSwigluForward {
    /// One launch; two for a few rows, whose product goes feature by feature.
    pub fn launches(&self, storage: Storage) -> Vec<Launch> {
        let Self { x, weight, gate_up, out, rows, inner, width } = *self;
        if rows <= VECTOR_ROWS {
            let outer = 2 * width;
            let product =
                LinearForward { x, weight, residual: 0, out: gate_up, rows, inner, outer };
            let gate = SwigluForward { gate_up, out, rows, width }.launch(storage);
            return product.launch(storage).into_iter().chain([gate]).collect();
        }
        let columns = 2 * width.next_multiple_of(group(storage));
        let args = vec![
            Arg::Pointer(x),
            Arg::Pointer(weight),
            Arg::Pointer(gate_up),
            Arg::Pointer(out),
            Arg::U32(rows),
            Arg::U32(inner),
            Arg::U32(width),
            Arg::U32(columns),
        ];
        let aligned = aligned([x, weight], &[inner]);
        let choice = Choice::new(&FORWARD, storage, rows, columns, aligned);
        choice.launch(rows, columns, 1, args).into_iter().collect()
    }
}

/// With `d = d_out weight`: `d_gate = d * up * silu'(gate)`, `d_up = d * silu(gate)`; extents below
/// 2^31.
#[derive(Clone, Copy, Debug)]
pub struct LinearSwigluBackward {
    /// `[rows, outer]`.
    pub d_out: u64,
    /// `[outer, width]`.
    pub weight: u64,
    /// `[rows, 2, width]`.
    pub gate_up: u64,
    /// `[rows, 2, width]`, overwritten.
    pub d_gate_up: u64,
    /// Rows of `d_out`.
    pub rows: u32,
    /// Hidden features.
    pub width: u32,
    /// Output features.
    pub outer: u32,
}

impl LinearSwigluBackward {
    /// None where there is nothing to compute.
    pub fn launch(&self, storage: Storage) -> Option<Launch> {
        let Self { d_out, weight, gate_up, d_gate_up, rows, width, outer } = *self;
        let args = vec![
            Arg::Pointer(d_out),
            Arg::Pointer(weight),
            Arg::Pointer(gate_up),
            Arg::Pointer(d_gate_up),
            Arg::U32(rows),
            Arg::U32(width),
            Arg::U32(outer),
        ];
        let aligned = aligned([d_out, weight], &[width, outer]);
        Choice::new(&BACKWARD, storage, rows, width, aligned).launch(rows, width, 1, args)
    }
}
