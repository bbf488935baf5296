//! Launches of `kernels/latent_attention.cu`.

use super::{Arg, EntryPoint, HeadWidth, Launch, Module, Storage};

/// The compiled kernels of this operation.
pub const MODULE: Module = Module {
    name: "latent_attention",
    ptx: include_str!("../../compiled/sm_80/latent_attention.ptx"),
};

/// Entry points of this operation: pass by pass, in f32 and bf16, by head width; the last pass
/// of backward for any width.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("latent_attention_forward_d16_f32"),
    entry("latent_attention_forward_d32_f32"),
    entry("latent_attention_forward_d64_f32"),
    entry("latent_attention_forward_d128_f32"),
    entry("latent_attention_forward_d16_bf16"),
    entry("latent_attention_forward_d32_bf16"),
    entry("latent_attention_forward_d64_bf16"),
    entry("latent_attention_forward_d128_bf16"),
    entry("latent_attention_backward_d16_f32"),
    entry("latent_attention_backward_d32_f32"),
    entry("latent_attention_backward_d64_f32"),
    entry("latent_attention_backward_d128_f32"),
    entry("latent_attention_backward_d16_bf16"),
    entry("latent_attention_backward_d32_bf16"),
    entry("latent_attention_backward_d64_bf16"),
    entry("latent_attention_backward_d128_bf16"),
    entry("latent_attention_backward_reduce_f32"),
    entry("latent_attention_backward_reduce_bf16"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "latent_attention" }
}

/// The passes in the order of [`ENTRY_POINTS`].
#[derive(Clone, Copy)]
enum Pass {
    Forward,
    Backward,
}

impl Pass {
    fn entry(self, storage: Storage, width: HeadWidth) -> &'static EntryPoint {
        &ENTRY_POINTS[(self as usize * 2 + storage as usize) * 4 + width.index()]
    }
}

/// The pass that adds up the chunks.
fn reduce(storage: Storage) -> &'static EntryPoint {
    &ENTRY_POINTS[16 + storage as usize]
}

/// Tokens of a block.
const CHUNK: u32 = 256;
/// Latents that a block works on at a time.
const GROUP: u32 = 16;
/// Threads of the pass that adds up the chunks.
const REDUCE_THREADS: u32 = 256;

/// Extents shared by the passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentAttentionShape {
    /// Sequences.
    pub batch: u32,
    /// Tokens per sequence.
    pub seq: u32,
    /// Heads.
    pub heads: u32,
    /// Numbers per head.
    pub head_dim: HeadWidth,
    /// Latents per layer, 1 to 64.
    pub latents: u32,
}

impl LatentAttentionShape {
    const fn groups(&self) -> u32 {
        self.latents.div_ceil(GROUP)
    }

    const fn chunks(&self) -> u64 {
        self.seq.div_ceil(CHUNK) as u64 * self.heads as u64 * self.batch as u64
    }

    /// Pairs of numbers of kv.
    const fn pairs(&self) -> u64 {
        let width = self.heads as u64 * self.head_dim.head_dim() as u64;
        self.batch as u64 * self.latents as u64 * width
    }

    /// Blocks of the largest pass. A grid holds fewer than 2^31.
    pub fn blocks(&self) -> u64 {
        let reduce = self.pairs().div_ceil(REDUCE_THREADS as u64);
        (self.chunks() * self.groups() as u64).max(reduce)
    }

    /// Rows of a tile of tokens.
    const fn tile(&self, storage: Storage) -> u32 {
        match (storage, self.head_dim.padded()) {
            (Storage::Bf16, _) => 64,
            (Storage::F32, 128) => 16,
            (Storage::F32, _) => 32,
        }
    }

    /// Dynamic shared memory: `tiles` tiles of tokens, all keys and values, and `floats`.
    fn shared_bytes(&self, storage: Storage, tiles: u32, floats: u32) -> u32 {
        let rows = tiles * self.tile(storage) + 2 * self.groups() * GROUP;
        // A row is followed by 16 bytes that spread rows over the banks.
        rows * (self.head_dim.padded() * storage.size() as u32 + 16) + 4 * floats
    }

    /// Floats that weights pass through on their way to the second product: of the f32 kernels,
    /// with the tokens as rows and with the latents as rows.
    const fn scratch(&self, storage: Storage) -> (u32, u32) {
        match storage {
            Storage::F32 => (self.tile(storage) * (GROUP + 8), GROUP * (self.tile(storage) + 8)),
            Storage::Bf16 => (1, 1),
        }
    }

    fn launch(
        &self,
        entry: &'static EntryPoint,
        blocks: u64,
        threads: u32,
        shared_bytes: u32,
        args: Vec<Arg>,
    ) -> Launch {
        let grid = [blocks.try_into().unwrap_or(u32::MAX), 1, 1];
        Launch { entry, grid, block: [threads, 1, 1], shared_bytes, args }
    }

    fn extents(&self) -> [Arg; 4] {
        [self.seq, self.heads, self.head_dim.head_dim(), self.latents].map(Arg::U32)
    }
}

/// Threads of the passes over tokens.
const fn threads(storage: Storage) -> u32 {
    match storage {
        Storage::F32 => 64,
        Storage::Bf16 => 128,
    }
}

/// `out = softmax(rope(q) rope(k)^T / sqrt(head_dim)) v` over the latents. Pointers are to the
/// storage type except where they say f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentAttentionForward {
    /// `[batch, seq, heads, head_dim]`.
    pub q: u64,
    /// `[batch, latents, 2, heads, head_dim]`.
    pub kv: u64,
    /// `[batch, seq, heads, head_dim]`, overwritten.
    pub out: u64,
    /// `[seq, head_dim / 2]` f32: angles of the tokens.
    pub cos: u64,
    /// `[seq, head_dim / 2]` f32.
    pub sin: u64,
    /// `[latents, head_dim / 2]` f32: angles of the latents; 0 leaves the keys unrotated.
    pub latent_cos: u64,
    /// `[latents, head_dim / 2]` f32, or 0.
    pub latent_sin: u64,
    /// Extents; `batch` and `seq` at least 1.
    pub shape: LatentAttentionShape,
}

impl LatentAttentionForward {
    /// One launch. Takes more than 48 KiB of shared memory for many latents of wide heads (70 KiB
    /// at most), which CUDA has to be asked for.
    pub fn launch(&self, storage: Storage) -> Launch {
        let s = &self.shape;
        let pointers =
            [self.q, self.kv, self.out, self.cos, self.sin, self.latent_cos, self.latent_sin];
        let mut args = pointers.map(Arg::Pointer).to_vec();
        args.extend(s.extents());
        args.push(Arg::F32(s.head_dim.scale()));
        let shared = s.shared_bytes(storage, 1, s.scratch(storage).0);
        let entry = Pass::Forward.entry(storage, s.head_dim);
        s.launch(entry, s.chunks(), threads(storage), shared, args)
    }
}

/// Gradients of q, k and v.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentAttentionBackward {
    /// `[batch, seq, heads, head_dim]`.
    pub q: u64,
    /// `[batch, latents, 2, heads, head_dim]`.
    pub kv: u64,
    /// `[batch, seq, heads, head_dim]`.
    pub d_out: u64,
    /// `[batch, seq, heads, head_dim]`; 0 where it is not wanted.
    pub d_q: u64,
    /// Add to `d_q` or overwrite it.
    pub accumulate_q: bool,
    /// `[batch, latents, 2, heads, head_dim]`, overwritten; 0 leaves the sums of the chunks where they
    /// are, for [`LatentAttentionReduce`].
    pub d_kv: u64,
    /// Scratch of [`LatentAttentionBackward::scratch_bytes`].
    pub partial: u64,
    /// `[seq, head_dim / 2]` f32: angles of the tokens.
    pub cos: u64,
    /// `[seq, head_dim / 2]` f32.
    pub sin: u64,
    /// `[latents, head_dim / 2]` f32: angles of the latents; 0 leaves the keys unrotated.
    pub latent_cos: u64,
    /// `[latents, head_dim / 2]` f32, or 0.
    pub latent_sin: u64,
    /// Extents; `batch` at least 1. With `seq` 0 the gradients of k and v are zero.
    pub shape: LatentAttentionShape,
}

impl LatentAttentionBackward {
    /// Bytes of `partial`: `[batch, heads, ceil(seq / 256), 2, latents, head_dim]` f32.
    pub const fn scratch_bytes(shape: &LatentAttentionShape) -> u64 {
        shape.chunks() * 8 * shape.latents as u64 * shape.head_dim.head_dim() as u64
    }

    /// The pass over tokens, then, into `d_kv`, the one that adds up their chunks. Takes more than 48 KiB of
    /// shared memory for many latents of wide heads (90 KiB at most), which CUDA has to be asked
    /// for.
    pub fn launch(&self, storage: Storage) -> Vec<Launch> {
        let s = &self.shape;
        let mut launches = Vec::new();
        if s.seq > 0 {
            let pointers = [
                self.q,
                self.kv,
                self.d_out,
                self.d_q,
                self.partial,
                self.cos,
                self.sin,
                self.latent_cos,
                self.latent_sin,
            ];
            let mut args = pointers.map(Arg::Pointer).to_vec();
            args.extend(s.extents());
            args.extend([Arg::U32(self.accumulate_q as u32), Arg::F32(s.head_dim.scale())]);
            let (tokens, latents) = s.scratch(storage);
            // The two statistics of each token of a tile.
            let floats = 2 * s.tile(storage) + tokens + latents;
            let shared = s.shared_bytes(storage, 2, floats);
            let entry = Pass::Backward.entry(storage, s.head_dim);
            let blocks = s.chunks() * s.groups() as u64;
            launches.push(s.launch(entry, blocks, threads(storage), shared, args));
        }
        if self.d_kv != 0 {
            let pointers = [self.partial, self.d_kv, self.latent_cos, self.latent_sin];
            launches.push(Self::reduce(s, storage, pointers));
        }
        launches
    }

    /// Blocks of tokens, each with sums of its own.
    pub(super) const fn chunks(shape: &LatentAttentionShape) -> u64 {
        shape.seq.div_ceil(CHUNK) as u64 * shape.batch as u64
    }

    /// The pass that adds up the chunks; `pointers` are `partial`, `d_kv` and the angles of the latents.
    pub(super) fn reduce(s: &LatentAttentionShape, storage: Storage, pointers: [u64; 4]) -> Launch {
        let mut args = pointers.map(Arg::Pointer).to_vec();
        args.push(Arg::U64(s.pairs()));
        args.extend(s.extents());
        args.push(Arg::F32(s.head_dim.scale()));
        let blocks = s.pairs().div_ceil(REDUCE_THREADS as u64);
        s.launch(reduce(storage), blocks, REDUCE_THREADS, 0, args)
    }
}

/// The sums of the chunks of several attentions, added up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentAttentionReduce {
    /// [`LatentAttentionBackward::scratch_bytes`] each, one after the other.
    pub partial: u64,
    /// `[groups, batch, latents, 2, heads, head_dim]`, overwritten.
    pub d_kv: u64,
    /// `[latents, head_dim / 2]` f32: angles of the latents; 0 leaves the keys unrotated.
    pub latent_cos: u64,
    /// `[latents, head_dim / 2]` f32, or 0.
    pub latent_sin: u64,
    /// Extents, `batch` counting the sequences of all attentions.
    pub shape: LatentAttentionShape,
}

impl LatentAttentionReduce {
    /// One launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let pointers = [self.partial, self.d_kv, self.latent_cos, self.latent_sin];
        LatentAttentionBackward::reduce(&self.shape, storage, pointers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_point_is_in_the_module() {
        for entry in ENTRY_POINTS {
            assert!(MODULE.ptx.contains(&format!(".entry {}(", entry.name)), "{}", entry.name);
        }
    }

    /// The least of the GPUs that the kernels are for (compute capability 8.6) lends a block 99
    /// KiB.
    #[test]
    fn the_widest_head_and_the_most_latents_fit_a_block() {
        for storage in [Storage::F32, Storage::Bf16] {
            for head_dim in [16, 32, 64, 128] {
                let head_dim = HeadWidth::new(head_dim).expect("a width that is compiled");
                let shape =
                    LatentAttentionShape { batch: 1, seq: 1, heads: 1, head_dim, latents: 64 };
                let (tokens, latents) = shape.scratch(storage);
                let floats = 2 * shape.tile(storage) + tokens + latents;
                assert!(shape.shared_bytes(storage, 2, floats) <= 99 * 1024, "{shape:?}");
            }
        }
    }
}
