//! Launches of `kernels/embedding.cu`.

use super::{Arg, EntryPoint, Launch, Module, Storage, rows};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "embedding", ptx: include_str!("../../compiled/sm_80/embedding.ptx") };

/// Entry points of this operation.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("embedding_forward_f32"),
    entry("embedding_forward_bf16"),
    entry("embedding_backward_f32"),
    entry("embedding_backward_bf16"),
    entry("embedding_backward_check_i32"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "embedding" }
}

/// Most threads of a block that copies rows.
const THREADS: u32 = 512;
/// Places of the order that a block of the backward pass looks at: one per warp.
const PLACES: u32 = 8;
/// Columns that a warp adds up.
const COLUMNS: u32 = 128;
/// Most blocks in y.
const MOST_Y: u32 = 65_535;

/// `out[r] = table[tokens[r]]`.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingForward {
    /// `[vocab, width]` storage.
    pub table: u64,
    /// `[rows]` i32.
    pub tokens: u64,
    /// `[rows, width]` storage, overwritten; rows whose token is out of range are left alone.
    pub out: u64,
    /// `[1]` u64 that takes the complement of `row << 32 | token` of the first row with such a
    /// token; left alone where there is none.
    pub fault: u64,
    /// Tokens, at least 1.
    pub rows: u32,
    /// Numbers per row, at least 1.
    pub width: u32,
    /// Rows of the table.
    pub vocab: u32,
}

impl EmbeddingForward {
    /// Its launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let block = rows::block(self.width, rows::vector(storage, self.width), THREADS);
        Launch {
            entry: storage.pick(&ENTRY_POINTS[0], &ENTRY_POINTS[1]),
            grid: [self.rows.div_ceil(block[1]), 1, 1],
            block,
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(self.table),
                Arg::Pointer(self.tokens),
                Arg::Pointer(self.out),
                Arg::Pointer(self.fault),
                Arg::U32(self.rows),
                Arg::U32(self.width),
                Arg::U32(self.vocab),
            ],
        }
    }
}

/// `d_table[t] += sum of d_out[r] over the rows r of token t`, in ascending r.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingBackward {
    /// `[rows, width]` storage.
    pub d_out: u64,
    /// `[rows]` i32.
    pub tokens: u64,
    /// `[rows]` i32: the rows sorted by token, equal tokens in ascending row.
    pub order: u64,
    /// `[vocab, width]` f32, added to; left alone where a fault is found.
    pub d_table: u64,
    /// `[3]` u64 that take complements: of `place << 32 | row` of the first place of `order` with
    /// a row out of range, of `row << 32 | token` of the first row with a token out of range, and
    /// of `place << 32 | row` of the first place that is not above the one before. Left alone
    /// where there is none.
    pub fault: u64,
    /// Tokens, at least 1.
    pub rows: u32,
    /// Numbers per row, at least 1.
    pub width: u32,
    /// Rows of the table.
    pub vocab: u32,
}

impl EmbeddingBackward {
    /// Its launches, in order: the check of tokens and order, then the sums.
    pub fn launches(&self, storage: Storage) -> [Launch; 2] {
        let check = Launch {
            entry: &ENTRY_POINTS[4],
            grid: [self.rows.div_ceil(256), 1, 1],
            block: [256, 1, 1],
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(self.tokens),
                Arg::Pointer(self.order),
                Arg::Pointer(self.fault),
                Arg::U32(self.rows),
                Arg::U32(self.vocab),
            ],
        };
        let sums = Launch {
            entry: storage.pick(&ENTRY_POINTS[2], &ENTRY_POINTS[3]),
            grid: [self.rows.div_ceil(PLACES), self.width.div_ceil(COLUMNS).min(MOST_Y), 1],
            block: [32, PLACES, 1],
            shared_bytes: 0,
            args: vec![
                Arg::Pointer(self.d_out),
                Arg::Pointer(self.tokens),
                Arg::Pointer(self.order),
                Arg::Pointer(self.d_table),
                Arg::Pointer(self.fault),
                Arg::U32(self.rows),
                Arg::U32(self.width),
            ],
        };
        [check, sums]
    }
}
