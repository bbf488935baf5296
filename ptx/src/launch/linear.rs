//! Launches of `kernels/linear.cu`.

use super::{Arg, EntryPoint, Launch, Module, Storage};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "linear", ptx: include_str!("../../compiled/sm_80/linear.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("linear_forward_f32"),
    entry("linear_forward_bf16"),
    entry("linear_forward_small_bf16"),
    entry("linear_forward_ragged_bf16"),
    entry("linear_forward_vector_f32"),
    entry("linear_forward_vector_bf16"),
    entry("linear_backward_input_f32"),
    entry("linear_backward_input_bf16"),
    entry("linear_backward_input_small_bf16"),
    entry("linear_backward_input_ragged_bf16"),
    entry("linear_backward_weight_f32"),
    entry("linear_backward_weight_bf16"),
    entry("linear_backward_weight_small_bf16"),
    entry("linear_backward_weight_ragged_bf16"),
    entry("linear_backward_weight_combine_f32"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "linear" }
}

/// A product in its variants.
pub(super) struct Variants {
    pub(super) f32: &'static EntryPoint,
    pub(super) large: &'static EntryPoint,
    pub(super) small: &'static EntryPoint,
    pub(super) ragged: &'static EntryPoint,
}

const FORWARD: Variants = Variants {
    f32: &ENTRY_POINTS[0],
    large: &ENTRY_POINTS[1],
    small: &ENTRY_POINTS[2],
    ragged: &ENTRY_POINTS[3],
};
const FORWARD_VECTOR: [&EntryPoint; 2] = [&ENTRY_POINTS[4], &ENTRY_POINTS[5]];
const BACKWARD_INPUT: Variants = Variants {
    f32: &ENTRY_POINTS[6],
    large: &ENTRY_POINTS[7],
    small: &ENTRY_POINTS[8],
    ragged: &ENTRY_POINTS[9],
};
const BACKWARD_WEIGHT: Variants = Variants {
    f32: &ENTRY_POINTS[10],
    large: &ENTRY_POINTS[11],
    small: &ENTRY_POINTS[12],
    ragged: &ENTRY_POINTS[13],
};
const COMBINE: &EntryPoint = &ENTRY_POINTS[14];

/// Rows up to which the forward product goes feature by feature: each row's sums then have one
/// order, whatever rows are beside it.
pub const VECTOR_ROWS: u32 = 8;
/// Features of a block of the vector kernels: one per warp.
const VECTOR_FEATURES: u32 = 4;
/// Large tiles below which a result is cut into small ones. About the number of processors of
/// today's GPUs: with fewer tiles most of them would idle, and the exact number matters little.
const FEW_TILES: u64 = 128;
/// Blocks up to which a sum is cut, where its result alone makes too few.
pub(super) const ENOUGH_BLOCKS: u64 = 256;
/// Rows below which a cut of the rows does not pay.
const SHORTEST_CUT: u32 = 256;
/// Numbers of one block of the combine kernel, one per thread.
const COMBINE_THREADS: u32 = 256;

/// Entry, tile edge and threads of one product with a result of `m x n`.
pub(super) struct Choice {
    entry: &'static EntryPoint,
    tile: u32,
    threads: u32,
}

impl Choice {
    /// `aligned`: every row of both operands starts on 16 bytes and holds whole units of 16.
    pub(super) fn new(
        variants: &Variants,
        storage: Storage,
        m: u32,
        n: u32,
        aligned: bool,
    ) -> Self {
        let large = m.div_ceil(128) as u64 * n.div_ceil(128) as u64;
        match storage {
            Storage::F32 => Choice { entry: variants.f32, tile: 64, threads: 128 },
            Storage::Bf16 if !aligned => Choice { entry: variants.ragged, tile: 64, threads: 128 },
            Storage::Bf16 if large < FEW_TILES => {
                Choice { entry: variants.small, tile: 64, threads: 128 }
            }
            Storage::Bf16 => Choice { entry: variants.large, tile: 128, threads: 256 },
        }
    }

    fn tiles(&self, m: u32, n: u32) -> u64 {
        m.div_ceil(self.tile) as u64 * n.div_ceil(self.tile) as u64
    }

    /// `cuts` along z. None for an empty result.
    pub(super) fn launch(&self, m: u32, n: u32, cuts: u32, args: Vec<Arg>) -> Option<Launch> {
        if m == 0 || n == 0 {
            return None;
        }
        // Extents below 2^31 make at most 2^50 tiles; a result of 2^31 tiles has 2^43 numbers,
        // more than any device holds.
        let x = u32::try_from(self.tiles(m, n)).unwrap_or(u32::MAX);
        Some(Launch {
            entry: self.entry,
            grid: [x, 1, cuts],
            block: [self.threads, 1, 1],
            shared_bytes: 0,
            args,
        })
    }
}

/// Whether every row of both operands, whose contiguous extents these are, starts on 16 bytes and
/// holds whole units of 16.
pub(super) fn aligned(pointers: [u64; 2], extents: &[u32]) -> bool {
    pointers.iter().all(|p| p % 16 == 0) && extents.iter().all(|n| n % 8 == 0)
}

/// Products of one shape, computed in one launch: their activations lie one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// How many, below 2^16.
    pub count: u32,
    /// Numbers from the weight of one to that of the next.
    pub weight_stride: u64,
}

impl Groups {
    /// A product by itself.
    const ONE: Self = Self { count: 1, weight_stride: 0 };

    /// Whether whole units of 16 bytes lie between the weights.
    fn aligned(self) -> bool {
        self.weight_stride.is_multiple_of(8)
    }

    fn of(self, launch: Option<Launch>) -> Option<Launch> {
        let launch = launch.filter(|_| self.count > 0)?;
        let [x, _, z] = launch.grid;
        Some(Launch { grid: [x, self.count, z], ..launch })
    }
}

/// `out = x weight^T (+ residual)`; extents below 2^31.
#[derive(Clone, Copy, Debug)]
pub struct LinearForward {
    /// `[rows, inner]`.
    pub x: u64,
    /// `[outer, inner]`.
    pub weight: u64,
    /// `[rows, outer]`, or 0.
    pub residual: u64,
    /// `[rows, outer]`, overwritten.
    pub out: u64,
    /// Rows of `x`.
    pub rows: u32,
    /// Input features.
    pub inner: u32,
    /// Output features.
    pub outer: u32,
}

impl LinearForward {
    /// None where there is nothing to compute.
    pub fn launch(&self, storage: Storage) -> Option<Launch> {
        let Self { x, weight, residual, out, rows, inner, outer } = *self;
        if rows > VECTOR_ROWS {
            return self.launch_grouped(storage, Groups::ONE);
        }
        let args = vec![
            Arg::Pointer(x),
            Arg::Pointer(weight),
            Arg::Pointer(residual),
            Arg::Pointer(out),
            Arg::U32(rows),
            Arg::U32(inner),
            Arg::U32(outer),
        ];
        (rows > 0 && outer > 0).then(|| Launch {
            entry: storage.pick(FORWARD_VECTOR[0], FORWARD_VECTOR[1]),
            grid: [outer.div_ceil(VECTOR_FEATURES), 1, 1],
            block: [32 * VECTOR_FEATURES, 1, 1],
            shared_bytes: 0,
            args,
        })
    }

    /// Many at once, of which these are the extents and the addresses of the first; `residual` is 0.
    /// None where there is nothing to compute.
    pub fn launch_grouped(&self, storage: Storage, groups: Groups) -> Option<Launch> {
        let Self { x, weight, residual, out, rows, inner, outer } = *self;
        let args = vec![
            Arg::Pointer(x),
            Arg::Pointer(weight),
            Arg::Pointer(residual),
            Arg::Pointer(out),
            Arg::U32(rows),
            Arg::U32(inner),
            Arg::U32(outer),
            Arg::U64(groups.weight_stride),
        ];
        let aligned = aligned([x, weight], &[inner]) && groups.aligned();
        let choice = Choice::new(&FORWARD, storage, rows, outer, aligned);
        groups.of(choice.launch(rows, outer, 1, args))
    }
}

/// `d_x (+)= d_out weight`; extents below 2^31.
#[derive(Clone, Copy, Debug)]
pub struct LinearBackwardInput {
    /// `[rows, outer]`.
    pub d_out: u64,
    /// `[outer, inner]`.
    pub weight: u64,
    /// `[rows, inner]`.
    pub d_x: u64,
    /// Add to `d_x` or overwrite it.
    pub accumulate: bool,
    /// Rows of `d_out`.
    pub rows: u32,
    /// Input features.
    pub inner: u32,
    /// Output features.
    pub outer: u32,
}

impl LinearBackwardInput {
    /// None where there is nothing to compute.
    pub fn launch(&self, storage: Storage) -> Option<Launch> {
        self.launch_grouped(storage, Groups::ONE)
    }

    /// Many at once, of which these are the extents and the addresses of the first; nothing is
    /// accumulated. None where there is nothing to compute.
    pub fn launch_grouped(&self, storage: Storage, groups: Groups) -> Option<Launch> {
        let Self { d_out, weight, d_x, accumulate, rows, inner, outer } = *self;
        let args = vec![
            Arg::Pointer(d_out),
            Arg::Pointer(weight),
            Arg::Pointer(if accumulate { d_x } else { 0 }),
            Arg::Pointer(d_x),
            Arg::U32(rows),
            Arg::U32(inner),
            Arg::U32(outer),
            Arg::U64(groups.weight_stride),
        ];
        let aligned = aligned([d_out, weight], &[inner, outer]) && groups.aligned();
        let choice = Choice::new(&BACKWARD_INPUT, storage, rows, inner, aligned);
        groups.of(choice.launch(rows, inner, 1, args))
    }
}

/// `d_weight += d_out^T x` with `d_weight` in f32; extents below 2^31.
#[derive(Clone, Copy, Debug)]
pub struct LinearBackwardWeight {
    /// `[rows, outer]`.
    pub d_out: u64,
    /// `[rows, inner]`.
    pub x: u64,
    /// `[outer, inner]` f32, added to.
    pub d_weight: u64,
    /// Rows of `x`.
    pub rows: u32,
    /// Input features.
    pub inner: u32,
    /// Output features.
    pub outer: u32,
}

impl LinearBackwardWeight {
    fn choice(&self, storage: Storage) -> Choice {
        let aligned = aligned([self.d_out, self.x], &[self.inner, self.outer]);
        Choice::new(&BACKWARD_WEIGHT, storage, self.outer, self.inner, aligned)
    }

    /// How many cuts of how many rows.
    fn cuts(&self, storage: Storage) -> (u32, u32) {
        let tiles = self.choice(storage).tiles(self.outer, self.inner);
        let wanted = (ENOUGH_BLOCKS / tiles.max(1)).min((self.rows / SHORTEST_CUT) as u64).max(1);
        // Whole tiles of the inner dimension, 32 rows each.
        let rows = self.rows.div_ceil(wanted as u32).next_multiple_of(32);
        (self.rows.div_ceil(rows.max(1)).max(1), rows)
    }

    /// Bytes of device scratch that [`Self::launches`] needs, 0 for none.
    pub fn scratch_bytes(&self, storage: Storage) -> usize {
        match self.cuts(storage).0 {
            1 => 0,
            cuts => cuts as usize * self.outer as usize * self.inner as usize * 4,
        }
    }

    /// In the order to run; none where there is nothing to add. `scratch` is the address of
    /// [`Self::scratch_bytes`] bytes, aligned to 16.
    pub fn launches(&self, storage: Storage, scratch: u64) -> Vec<Launch> {
        let Self { d_out, x, d_weight, rows, inner, outer } = *self;
        if rows == 0 {
            return Vec::new();
        }
        let (cuts, cut_rows) = self.cuts(storage);
        let args = vec![
            Arg::Pointer(d_out),
            Arg::Pointer(x),
            Arg::Pointer(d_weight),
            Arg::Pointer(if cuts > 1 { scratch } else { 0 }),
            Arg::U32(rows),
            Arg::U32(inner),
            Arg::U32(outer),
            Arg::U32(cut_rows),
        ];
        let product = self.choice(storage).launch(outer, inner, cuts, args);
        let combine = product.is_some() && cuts > 1;
        let combine = combine.then(|| add_cuts(scratch, d_weight, outer, inner, cuts));
        product.into_iter().chain(combine).collect()
    }
}

/// `sum += cuts[0] + cuts[1] + ...`, in that order: f32 matrices `outer x inner`, neither 0.
pub(super) fn add_cuts(partials: u64, sum: u64, outer: u32, inner: u32, cuts: u32) -> Launch {
    let count = outer as u64 * inner as u64;
    // A matrix that is cut has few tiles: see ENOUGH_BLOCKS.
    let blocks = u32::try_from(count.div_ceil(COMBINE_THREADS as u64)).unwrap_or(u32::MAX);
    Launch {
        entry: COMBINE,
        grid: [blocks, 1, 1],
        block: [COMBINE_THREADS, 1, 1],
        shared_bytes: 0,
        args: vec![Arg::Pointer(partials), Arg::Pointer(sum), Arg::U64(count), Arg::U32(cuts)],
    }
}
