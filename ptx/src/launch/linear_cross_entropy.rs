//! Launches of `kernels/linear_cross_entropy.cu`.

use super::linear::{ENOUGH_BLOCKS, add_cuts};
use super::{Arg, EntryPoint, Launch, Module, Storage};

/// The compiled kernels of this operation.
pub const MODULE: Module = Module {
    name: "linear_cross_entropy",
    ptx: include_str!("../../compiled/sm_80/linear_cross_entropy.ptx"),
};

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("linear_cross_entropy_hidden_128_f32"),
    entry("linear_cross_entropy_hidden_512_f32"),
    entry("linear_cross_entropy_hidden_128_bf16"),
    entry("linear_cross_entropy_hidden_256_bf16"),
    entry("linear_cross_entropy_hidden_512_bf16"),
    entry("linear_cross_entropy_weight_128_f32"),
    entry("linear_cross_entropy_weight_512_f32"),
    entry("linear_cross_entropy_weight_128_bf16"),
    entry("linear_cross_entropy_weight_256_bf16"),
    entry("linear_cross_entropy_weight_512_bf16"),
    entry("linear_cross_entropy_combine_f32"),
    entry("linear_cross_entropy_combine_bf16"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "linear_cross_entropy" }
}

/// Rows of a tile of the matrix that a block runs through.
const OTHERS: u32 = 16;
/// Vocabulary or rows below which a cut does not pay.
const SHORTEST_CUT: u32 = 512;
/// Threads of a block of either pass.
const THREADS: u32 = 256;
/// Rows of a block of the combine kernel, one per warp.
const COMBINE_ROWS: u32 = 4;
/// Numbers per row and cut: largest logit, sum, target's logit.
const STATISTICS: usize = 3;

/// One variant of the two passes.
struct Variant {
    /// Columns held at a time.
    chunk: u32,
    /// Rows that a block owns.
    owners: u32,
    shared_bytes: u32,
    hidden: &'static EntryPoint,
    weight: &'static EntryPoint,
}

const F32: [Variant; 2] = [f32_variant(128, 0), f32_variant(512, 1)];
const BF16: [Variant; 3] = [bf16_variant(128, 2), bf16_variant(256, 3), bf16_variant(512, 4)];

const fn f32_variant(chunk: u32, at: usize) -> Variant {
    let owners = 32;
    // Owners, a tile, P.
    let floats = (owners + OTHERS) * chunk + owners * OTHERS;
    Variant {
        chunk,
        owners,
        shared_bytes: floats * 4,
        hidden: &ENTRY_POINTS[at],
        weight: &ENTRY_POINTS[at + 5],
    }
}

const fn bf16_variant(chunk: u32, at: usize) -> Variant {
    let owners = 64;
    // Three tiles and P; in f32 the parts of the logits of eight warps and the factor of each
    // owner; a float and an int of each row of a tile.
    let halves = 3 * OTHERS * chunk + owners * OTHERS;
    let words = 8 * owners * OTHERS + owners + 3 * OTHERS * 2;
    Variant {
        chunk,
        owners,
        shared_bytes: halves * 2 + words * 4,
        hidden: &ENTRY_POINTS[at],
        weight: &ENTRY_POINTS[at + 5],
    }
}

const COMBINE: [&EntryPoint; 2] = [&ENTRY_POINTS[10], &ENTRY_POINTS[11]];

/// How one pass is cut.
struct Cuts {
    variant: &'static Variant,
    blocks: u32,
    slices: u32,
    count: u32,
    length: u32,
}

impl Cuts {
    fn new(storage: Storage, width: u32, owners: u32, others: u32, slices: bool) -> Self {
        let variants: &'static [Variant] = match storage {
            Storage::F32 => &F32,
            Storage::Bf16 => &BF16,
        };
        let variant =
            variants.iter().find(|v| width <= v.chunk).unwrap_or(&variants[variants.len() - 1]);
        let blocks = owners.div_ceil(variant.owners);
        let slices = if slices { width.div_ceil(variant.chunk) } else { 1 };
        let others_cut = (others / SHORTEST_CUT) as u64;
        let wanted =
            (ENOUGH_BLOCKS / (blocks as u64 * slices as u64).max(1)).min(others_cut).max(1);
        let length = others.div_ceil(wanted as u32).next_multiple_of(OTHERS);
        Self { variant, blocks, slices, count: others.div_ceil(length.max(1)), length }
    }

    fn launch(&self, entry: &'static EntryPoint, args: Vec<Arg>) -> Launch {
        Launch {
            entry,
            grid: [self.blocks, self.slices, self.count],
            block: [THREADS, 1, 1],
            shared_bytes: self.variant.shared_bytes,
            args,
        }
    }
}

/// Losses of a vocabulary projection and their gradients; extents below 2^31, `width` and
/// `vocab` at least 1. The mathematics is at the head of the kernels' source.
#[derive(Clone, Copy, Debug)]
pub struct LinearCrossEntropy {
    /// `[rows, width]`.
    pub hidden: u64,
    /// `[vocab, width]`.
    pub weight: u64,
    /// `[rows]` i32; negative is ignored.
    pub targets: u64,
    /// `[rows]` f32, overwritten; NaN for a target that is not below `vocab`.
    pub token_nll: u64,
    /// `[rows]` f32, overwritten.
    pub logsumexp: u64,
    /// `[rows, width]`, overwritten, or 0.
    pub d_hidden: u64,
    /// `[vocab, width]` f32, added to, or 0.
    pub d_weight: u64,
    /// `[1]` u64 that takes the complement of `row << 32 | target` of the first row with such a
    /// target; left alone where there is none.
    pub fault: u64,
    /// Factor of the loss whose gradient is taken.
    pub scale: f32,
    /// Tokens.
    pub rows: u32,
    /// Numbers per hidden state.
    pub width: u32,
    /// Rows of the projection.
    pub vocab: u32,
}

impl LinearCrossEntropy {
    fn hidden_cuts(&self, storage: Storage) -> Cuts {
        Cuts::new(storage, self.width, self.rows, self.vocab, self.d_hidden != 0)
    }

    fn weight_cuts(&self, storage: Storage) -> Cuts {
        Cuts::new(storage, self.width, self.vocab, self.rows, true)
    }

    /// Bytes of the statistics at the start of the scratch.
    fn statistics_bytes(&self, cuts: u32) -> usize {
        (cuts as usize * self.rows as usize * STATISTICS * 4).next_multiple_of(256)
    }

    /// Bytes of device scratch that [`Self::launches`] needs.
    pub fn scratch_bytes(&self, storage: Storage) -> usize {
        let cuts = self.hidden_cuts(storage).count;
        let weighted = match self.d_hidden {
            0 => 0,
            _ => cuts as usize * self.rows as usize * self.width as usize * 4,
        };
        let partials = match self.weight_cuts(storage).count {
            cuts if self.d_weight != 0 && cuts > 1 => {
                cuts as usize * self.vocab as usize * self.width as usize * 4
            }
            _ => 0,
        };
        (self.statistics_bytes(cuts) + weighted).max(partials)
    }

    /// In the order to run; none where there are no rows. `scratch` is the address of
    /// [`Self::scratch_bytes`] bytes, aligned to 256.
    pub fn launches(&self, storage: Storage, scratch: u64) -> Vec<Launch> {
        if self.rows == 0 {
            return Vec::new();
        }
        let cuts = self.hidden_cuts(storage);
        let weighted = match self.d_hidden {
            0 => 0,
            _ => scratch + self.statistics_bytes(cuts.count) as u64,
        };
        let hidden = cuts.launch(
            cuts.variant.hidden,
            vec![
                Arg::Pointer(self.hidden),
                Arg::Pointer(self.weight),
                Arg::Pointer(self.targets),
                Arg::Pointer(scratch),
                Arg::Pointer(weighted),
                Arg::U32(self.rows),
                Arg::U32(self.width),
                Arg::U32(self.vocab),
                Arg::U32(cuts.length),
            ],
        );
        let combine = Launch {
            entry: storage.pick(COMBINE[0], COMBINE[1]),
            grid: [self.rows.div_ceil(COMBINE_ROWS), 1, 1],
            block: [32 * COMBINE_ROWS, 1, 1],
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(scratch),
                Arg::Pointer(weighted),
                Arg::Pointer(self.weight),
                Arg::Pointer(self.targets),
                Arg::Pointer(self.token_nll),
                Arg::Pointer(self.logsumexp),
                Arg::Pointer(self.d_hidden),
                Arg::Pointer(self.fault),
                Arg::F32(self.scale),
                Arg::U32(self.rows),
                Arg::U32(self.width),
                Arg::U32(self.vocab),
                Arg::U32(cuts.count),
            ],
        };
        let mut launches = vec![hidden, combine];
        if self.d_weight != 0 {
            self.weight_launches(storage, scratch, &mut launches);
        }
        launches
    }

    fn weight_launches(&self, storage: Storage, scratch: u64, launches: &mut Vec<Launch>) {
        let cuts = self.weight_cuts(storage);
        let partials = if cuts.count > 1 { scratch } else { 0 };
        launches.push(cuts.launch(
            cuts.variant.weight,
            vec![
                Arg::Pointer(self.hidden),
                Arg::Pointer(self.weight),
                Arg::Pointer(self.targets),
                Arg::Pointer(self.logsumexp),
                Arg::Pointer(self.d_weight),
                Arg::Pointer(partials),
                Arg::F32(self.scale),
                Arg::U32(self.rows),
                Arg::U32(self.width),
                Arg::U32(self.vocab),
                Arg::U32(cuts.length),
            ],
        ));
        if cuts.count > 1 {
            launches.push(add_cuts(scratch, self.d_weight, self.vocab, self.width, cuts.count));
        }
    }
}
