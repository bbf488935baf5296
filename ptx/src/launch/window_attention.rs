//! Launches of `kernels/window_attention.cu`.

use super::{Arg, EntryPoint, HeadWidth, Launch, Module, Storage};

/// The compiled kernels of this operation.
pub const MODULE: Module = Module {
    name: "window_attention",
    ptx: include_str!("../../compiled/sm_80/window_attention.ptx"),
};

/// Entry points of this operation: pass by pass, in f32 and bf16, by head width.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("window_attention_forward_d16_f32"),
    entry("window_attention_forward_d32_f32"),
    entry("window_attention_forward_d64_f32"),
    entry("window_attention_forward_d128_f32"),
    entry("window_attention_forward_d16_bf16"),
    entry("window_attention_forward_d32_bf16"),
    entry("window_attention_forward_d64_bf16"),
    entry("window_attention_forward_d128_bf16"),
    entry("window_attention_backward_d16_f32"),
    entry("window_attention_backward_d32_f32"),
    entry("window_attention_backward_d64_f32"),
    entry("window_attention_backward_d128_f32"),
    entry("window_attention_backward_d16_bf16"),
    entry("window_attention_backward_d32_bf16"),
    entry("window_attention_backward_d64_bf16"),
    entry("window_attention_backward_d128_bf16"),
    entry("window_attention_decode_d16_f32"),
    entry("window_attention_decode_d32_f32"),
    entry("window_attention_decode_d64_f32"),
    entry("window_attention_decode_d128_f32"),
    entry("window_attention_decode_d16_bf16"),
    entry("window_attention_decode_d32_bf16"),
    entry("window_attention_decode_d64_bf16"),
    entry("window_attention_decode_d128_bf16"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "window_attention" }
}

/// The passes in the order of [`ENTRY_POINTS`].
#[derive(Clone, Copy)]
enum Pass {
    Forward,
    Backward,
    Decode,
}

impl Pass {
    fn entry(self, storage: Storage, width: HeadWidth) -> &'static EntryPoint {
        &ENTRY_POINTS[(self as usize * 2 + storage as usize) * 4 + width.index()]
    }
}

/// Extents shared by the passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowAttentionShape {
    /// Sequences.
    pub batch: u32,
    /// Tokens per sequence.
    pub seq: u32,
    /// Heads.
    pub heads: u32,
    /// Numbers per head.
    pub head_dim: HeadWidth,
    /// Keys that a token sees, itself included; at least 1, and no more than `seq` counts.
    pub window: u32,
}

impl WindowAttentionShape {
    /// Rows of the tile that a block owns, of queries or of keys.
    pub const fn tile(&self, storage: Storage) -> u32 {
        match (storage, self.head_dim.padded()) {
            (Storage::Bf16, _) => 64,
            (Storage::F32, 128) => 16,
            (Storage::F32, _) => 32,
        }
    }

    /// Blocks of the forward pass. A grid holds fewer than 2^31.
    pub const fn forward_blocks(&self, storage: Storage) -> u64 {
        self.seq.div_ceil(self.tile(storage)) as u64 * self.heads as u64 * self.batch as u64
    }

    /// Blocks of the backward pass: those that own keys and as many that own queries.
    pub const fn backward_blocks(&self, storage: Storage) -> u64 {
        2 * self.forward_blocks(storage)
    }

    fn over_tiles(&self, pass: Pass, storage: Storage, blocks: u64, mut args: Vec<Arg>) -> Launch {
        let threads = match storage {
            Storage::F32 => 64,
            Storage::Bf16 => 128,
        };
        // Beyond the sequence a window changes nothing, and sums of extents stay in 32 bits.
        let window = self.window.min(self.seq);
        args.extend([self.seq, self.heads, self.head_dim.head_dim(), window].map(Arg::U32));
        args.push(Arg::F32(self.head_dim.scale()));
        Launch {
            entry: pass.entry(storage, self.head_dim),
            grid: [blocks.try_into().unwrap_or(u32::MAX), 1, 1],
            block: [threads, 1, 1],
            shared_bytes: 0,
            args,
        }
    }
}

/// `out = softmax(rope(q) rope(k)^T / sqrt(head_dim)) v` inside the window. All pointers but
/// `logsumexp`, `cos` and `sin` are to the storage type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowAttentionForward {
    /// `[batch, seq, 3, heads, head_dim]`.
    pub qkv: u64,
    /// `[batch, seq, heads, head_dim]`, overwritten.
    pub out: u64,
    /// `[batch, heads, seq]` f32, overwritten.
    pub logsumexp: u64,
    /// `[seq, head_dim / 2]` f32.
    pub cos: u64,
    /// `[seq, head_dim / 2]` f32.
    pub sin: u64,
    /// Extents; `batch` and `seq` at least 1.
    pub shape: WindowAttentionShape,
}

impl WindowAttentionForward {
    /// One launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let pointers = [self.qkv, self.out, self.logsumexp, self.cos, self.sin];
        let blocks = self.shape.forward_blocks(storage);
        self.shape.over_tiles(Pass::Forward, storage, blocks, pointers.map(Arg::Pointer).to_vec())
    }
}

/// Gradients of q, k and v.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowAttentionBackward {
    /// `[batch, seq, 3, heads, head_dim]`.
    pub qkv: u64,
    /// `[batch, seq, heads, head_dim]`.
    pub out: u64,
    /// `[batch, heads, seq]` f32.
    pub logsumexp: u64,
    /// `[batch, seq, heads, head_dim]`.
    pub d_out: u64,
    /// `[batch, seq, 3, heads, head_dim]`, overwritten.
    pub d_qkv: u64,
    /// `[seq, head_dim / 2]` f32.
    pub cos: u64,
    /// `[seq, head_dim / 2]` f32.
    pub sin: u64,
    /// Extents; `batch` and `seq` at least 1.
    pub shape: WindowAttentionShape,
}

impl WindowAttentionBackward {
    /// One launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let pointers =
            [self.qkv, self.out, self.logsumexp, self.d_out, self.d_qkv, self.cos, self.sin];
        let blocks = self.shape.backward_blocks(storage);
        self.shape.over_tiles(Pass::Backward, storage, blocks, pointers.map(Arg::Pointer).to_vec())
    }
}

/// One new token per sequence against a ring cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowAttentionDecode {
    /// `[batch, 3, heads, head_dim]`.
    pub qkv: u64,
    /// `[batch, window, heads, head_dim]`: rotated keys, one slot written.
    pub keys: u64,
    /// `[batch, window, heads, head_dim]`, one slot written.
    pub values: u64,
    /// `[batch, heads, head_dim]`, overwritten.
    pub out: u64,
    /// `[head_dim / 2]` f32: angles of the token's position.
    pub cos: u64,
    /// `[head_dim / 2]` f32.
    pub sin: u64,
    /// Position of the new token.
    pub position: usize,
    /// Extents; `batch` at least 1, `seq` is 1.
    pub shape: WindowAttentionShape,
}

impl WindowAttentionDecode {
    /// One launch.
    pub fn launch(&self, storage: Storage) -> Launch {
        let WindowAttentionShape { batch, heads, head_dim, window, .. } = self.shape;
        let slot = (self.position % window.max(1) as usize) as u32;
        let slots = self.position.saturating_add(1).min(window as usize) as u32;
        let pointers = [self.qkv, self.keys, self.values, self.out, self.cos, self.sin];
        let mut args = pointers.map(Arg::Pointer).to_vec();
        args.extend([heads, head_dim.head_dim(), window, slot, slots].map(Arg::U32));
        args.push(Arg::F32(head_dim.scale()));
        let blocks = batch as u64 * heads as u64;
        Launch {
            entry: Pass::Decode.entry(storage, head_dim),
            grid: [blocks.try_into().unwrap_or(u32::MAX), 1, 1],
            block: [128, 1, 1],
            shared_bytes: 0,
            args,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_are_found_by_pass_storage_and_width() {
        let name =
            |pass: Pass, storage, d| HeadWidth::new(d).map(|width| pass.entry(storage, width).name);
        let expected = [
            (Pass::Forward, Storage::F32, 8, "window_attention_forward_d16_f32"),
            (Pass::Backward, Storage::Bf16, 64, "window_attention_backward_d64_bf16"),
            (Pass::Backward, Storage::F32, 128, "window_attention_backward_d128_f32"),
            (Pass::Decode, Storage::Bf16, 128, "window_attention_decode_d128_bf16"),
        ];
        for (pass, storage, d, entry) in expected {
            assert_eq!(name(pass, storage, d), Some(entry));
        }
    }

    #[test]
    fn every_entry_point_is_in_the_module() {
        for entry in ENTRY_POINTS {
            assert!(MODULE.ptx.contains(&format!(".entry {}(", entry.name)), "{}", entry.name);
        }
    }
}
