//! Launches of `kernels/linear_rms_norm.cu`.

use super::linear::{LinearBackwardInput, LinearForward, VECTOR_ROWS};
use super::rms_norm::{RmsNormBackward, RmsNormForward};
use super::{Arg, EntryPoint, Launch, Module, Storage};

/// The compiled kernels of this operation.
pub const MODULE: Module = Module {
    name: "linear_rms_norm",
    ptx: include_str!("../../compiled/sm_80/linear_rms_norm.ptx"),
};

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("linear_rms_norm_forward_128_bf16"),
    entry("linear_rms_norm_forward_256_bf16"),
    entry("linear_rms_norm_forward_512_bf16"),
    entry("linear_rms_norm_backward_128_bf16"),
    entry("linear_rms_norm_backward_256_bf16"),
    entry("linear_rms_norm_backward_512_bf16"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "linear_rms_norm" }
}

/// Rows of a tile.
const ROWS: u32 = 64;
const THREADS: u32 = 256;
/// Terms of a tile.
const INNER: u32 = 32;

/// A tile of whole rows.
struct Variant {
    /// Most numbers of a row.
    columns: u32,
    /// Tiles of both factors in shared memory.
    stages: u32,
    forward: &'static EntryPoint,
    backward: &'static EntryPoint,
}

const VARIANTS: [Variant; 3] = [variant(128, 3, 0), variant(256, 3, 1), variant(512, 2, 2)];

const fn variant(columns: u32, stages: u32, at: usize) -> Variant {
    let (forward, backward) = (&ENTRY_POINTS[at], &ENTRY_POINTS[at + 3]);
    Variant { columns, stages, forward, backward }
}

impl Variant {
    /// The narrowest tile for rows of `width` numbers; none if the rows are too long, in f32, or
    /// where not all that is read starts on 16 bytes in whole units of 16.
    fn of(
        storage: Storage,
        width: u32,
        pointers: &[u64],
        extents: &[u32],
    ) -> Option<&'static Self> {
        let aligned =
            pointers.iter().all(|p| p % 16 == 0) && extents.iter().all(|n| n.is_multiple_of(8));
        if storage == Storage::F32 || !aligned {
            return None;
        }
        VARIANTS.iter().find(|variant| width <= variant.columns)
    }

    fn launch(&self, entry: &'static EntryPoint, rows: u32, args: Vec<Arg>) -> Launch {
        Launch {
            entry,
            grid: [rows.div_ceil(ROWS), 1, 1],
            block: [THREADS, 1, 1],
            shared_bytes: self.stages * (ROWS + self.columns) * INNER * 2,
            args,
        }
    }
}

/// `out = x weight^T (+ residual)`, `inv_rms = 1 / sqrt(mean(out^2) + eps)` per row,
/// `normed = out * inv_rms * gain`; extents below 2^31.
#[derive(Clone, Copy, Debug)]
pub struct LinearRmsNormForward {
    /// `[rows, inner]`.
    pub x: u64,
    /// `[outer, inner]`.
    pub weight: u64,
    /// `[rows, outer]`, or 0.
    pub residual: u64,
    /// `[outer]`.
    pub gain: u64,
    /// `[rows, outer]`, overwritten.
    pub out: u64,
    /// `[rows, outer]`, overwritten.
    pub normed: u64,
    /// `[rows]` f32, overwritten.
    pub inv_rms: u64,
    /// Rows of `x`, at least 1.
    pub rows: u32,
    /// Input features.
    pub inner: u32,
    /// Output features, at least 1.
    pub outer: u32,
    /// Added to the mean square.
    pub eps: f32,
}

impl LinearRmsNormForward {
    /// The product by itself.
    pub fn product(&self) -> LinearForward {
        let Self { x, weight, residual, out, rows, inner, outer, .. } = *self;
        LinearForward { x, weight, residual, out, rows, inner, outer }
    }

    /// The norm by itself.
    pub fn norm(&self) -> RmsNormForward {
        let Self { gain, out, normed, inv_rms, rows, outer, eps, .. } = *self;
        let (x, weight, width) = (out, gain, outer);
        RmsNormForward { x, delta: 0, sum: 0, weight, out: normed, inv_rms, rows, width, eps }
    }

    /// One launch; two where no tile holds the rows, and for a few rows, whose product goes feature
    /// by feature.
    pub fn launches(&self, storage: Storage) -> Vec<Launch> {
        let Self { x, weight, residual, gain, out, normed, inv_rms, rows, inner, outer, eps } =
            *self;
        let pointers = [x, weight, residual, gain, out, normed];
        match Variant::of(storage, outer, &pointers, &[inner, outer]) {
            Some(variant) if rows > VECTOR_ROWS => {
                let args = vec![
                    Arg::Pointer(x),
                    Arg::Pointer(weight),
                    Arg::Pointer(residual),
                    Arg::Pointer(gain),
                    Arg::Pointer(out),
                    Arg::Pointer(normed),
                    Arg::Pointer(inv_rms),
                    Arg::U32(rows),
                    Arg::U32(inner),
                    Arg::U32(outer),
                    Arg::F32(eps),
                ];
                vec![variant.launch(variant.forward, rows, args)]
            }
            _ => {
                let product = self.product().launch(storage);
                product.into_iter().chain([self.norm().launch(storage)]).collect()
            }
        }
    }
}

/// With `d = d_out weight`, `u = d * gain` and `x^ = x * inv_rms`:
/// `d_x (+)= inv_rms * (u - x^ * mean(u * x^))`; extents below 2^31.
#[derive(Clone, Copy, Debug)]
pub struct LinearRmsNormBackward {
    /// `[rows, outer]`.
    pub d_out: u64,
    /// `[outer, width]`.
    pub weight: u64,
    /// `[rows, width]`: what was normalised.
    pub x: u64,
    /// `[width]`.
    pub gain: u64,
    /// `[rows]` f32 from the forward pass.
    pub inv_rms: u64,
    /// `[rows, width]`.
    pub d_x: u64,
    /// Add to `d_x` or overwrite it.
    pub accumulate: bool,
    /// `[rows, width]` of device memory, contents undefined, for `d` where that takes a launch.
    pub scratch: u64,
    /// Rows of `d_out`, at least 1.
    pub rows: u32,
    /// Numbers per row, at least 1.
    pub width: u32,
    /// Output features.
    pub outer: u32,
}

impl LinearRmsNormBackward {
    /// The product by itself, into the scratch.
    pub fn product(&self) -> LinearBackwardInput {
        let Self { d_out, weight, scratch, rows, width, outer, .. } = *self;
        let (d_x, accumulate, inner) = (scratch, false, width);
        LinearBackwardInput { d_out, weight, d_x, accumulate, rows, inner, outer }
    }

    /// The gradient of the norm by itself, from the scratch.
    pub fn norm(&self) -> RmsNormBackward {
        let Self { x, gain, inv_rms, d_x, accumulate, scratch, rows, width, .. } = *self;
        let (d_out, weight, d_weight) = (scratch, gain, 0);
        let scratch = 0;
        RmsNormBackward {
            d_out,
            x,
            weight,
            inv_rms,
            d_x,
            accumulate,
            d_weight,
            scratch,
            rows,
            width,
        }
    }

    /// One launch; two where no tile holds the rows.
    pub fn launches(&self, storage: Storage) -> Vec<Launch> {
        let Self { d_out, weight, x, gain, inv_rms, d_x, accumulate, rows, width, outer, .. } =
            *self;
        let pointers = [d_out, weight, x, gain, d_x];
        match Variant::of(storage, width, &pointers, &[width, outer]) {
            Some(variant) => {
                let args = vec![
                    Arg::Pointer(d_out),
                    Arg::Pointer(weight),
                    Arg::Pointer(x),
                    Arg::Pointer(gain),
                    Arg::Pointer(inv_rms),
                    Arg::Pointer(if accumulate { d_x } else { 0 }),
                    Arg::Pointer(d_x),
                    Arg::U32(rows),
                    Arg::U32(width),
                    Arg::U32(outer),
                ];
                vec![variant.launch(variant.backward, rows, args)]
            }
            None => {
                let product = self.product().launch(storage);
                product.into_iter().chain(self.norm().launches(storage)).collect()
            }
        }
    }
}
