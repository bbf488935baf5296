//! Launches of `kernels/latent_block.cu`.

use super::latent_attention::{LatentAttentionBackward, LatentAttentionShape};
use super::{Arg, EntryPoint, Launch, Module, Storage};

/// The compiled kernels of this operation.
pub const MODULE: Module =
    Module { name: "latent_block", ptx: include_str!("../../compiled/sm_80/latent_block.ptx") };

/// Entry points of this operation, by the width that they hold.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    entry("latent_block_forward_128_bf16"),
    entry("latent_block_forward_256_bf16"),
    entry("latent_block_forward_512_bf16"),
    entry("latent_block_backward_128_bf16"),
    entry("latent_block_backward_256_bf16"),
    entry("latent_block_backward_512_bf16"),
];

const fn entry(name: &'static str) -> EntryPoint {
    EntryPoint { name, module: "latent_block" }
}

/// The passes in the order of [`ENTRY_POINTS`].
#[derive(Clone, Copy)]
enum Pass {
    Forward,
    Backward,
}

/// Widths that the entry points hold.
const WIDTHS: [u32; 3] = [128, 256, 512];
/// Rows that stay in shared memory.
const ROWS: u32 = 64;
/// Threads of a block.
const THREADS: u32 = 256;
/// Bytes of shared memory that every GPU since compute capability 8.0 lends a block.
const MOST_SHARED: u32 = 99 * 1024;
/// Bytes beside the rows: of the latents that the forward pass sees at a time, or the products'
/// tiles, whichever are more.
const FORWARD_AREA: u32 = 32 * 1024;

/// The instance for a shape, and how the backward pass goes over the heads.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plan {
    instance: usize,
    shape: LatentAttentionShape,
}

impl Plan {
    /// `None` for a shape that no instance holds.
    fn new(shape: LatentAttentionShape) -> Option<Self> {
        let head_dim = shape.head_dim.head_dim();
        let width = shape.heads.checked_mul(head_dim)?;
        let instance = WIDTHS.iter().position(|&most| width <= most)?;
        let whole = head_dim == shape.head_dim.padded() && width.is_multiple_of(64);
        (whole && shape.latents <= 64).then_some(Self { instance, shape })
    }

    fn width(&self) -> u32 {
        self.shape.heads * self.shape.head_dim.head_dim()
    }

    /// Bytes of the rows that stay.
    fn rows(&self) -> u32 {
        ROWS * WIDTHS[self.instance] * 2
    }

    /// Bytes of the products' tiles.
    fn ring(&self) -> u32 {
        FORWARD_AREA.min(WIDTHS[self.instance] * 128)
    }

    /// Columns of the heads whose gradients are formed together, and the bytes that they and the
    /// rows take; `None` where a block has no room for any.
    fn backward(&self) -> Option<(u32, u32)> {
        let latents = self.shape.latents.max(16).next_power_of_two();
        let head_dim = self.shape.head_dim.head_dim();
        let bytes = |columns: u32| {
            // Queries, keys and values; p and ds.
            let heads =
                (ROWS + 2 * latents) * columns * 2 + columns / head_dim * ROWS * latents * 4;
            self.rows() + heads.max(self.ring())
        };
        let fits = |columns: &u32| *columns >= head_dim && bytes(*columns) <= MOST_SHARED;
        [128, 64].into_iter().find(fits).map(|columns| (columns, bytes(columns)))
    }

    fn launch(&self, pass: Pass, blocks: u64, shared_bytes: u32, args: Vec<Arg>) -> Launch {
        Launch {
            entry: &ENTRY_POINTS[pass as usize * WIDTHS.len() + self.instance],
            grid: [blocks.try_into().unwrap_or(u32::MAX), 1, 1],
            block: [THREADS, 1, 1],
            shared_bytes,
            args,
        }
    }

    fn extents(&self) -> [Arg; 4] {
        let s = &self.shape;
        [s.seq, self.width(), s.head_dim.head_dim(), s.latents].map(Arg::U32)
    }
}

/// Whether wide accesses may be made at every one of these addresses.
fn aligned(pointers: &[u64]) -> bool {
    pointers.iter().all(|pointer| pointer.is_multiple_of(16))
}

/// `q = n query_weight^T`, `a` the attention of `q` to the latents, `out = residual + a
/// out_weight^T`, `normed = out * inv_rms * gain`. Pointers are to bf16 except where they say f32.
/// `width` is `heads * head_dim`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentBlockForward {
    /// `[batch, seq, width]`; 0 where `q` is given.
    pub n: u64,
    /// `[width, width]`, or 0.
    pub query_weight: u64,
    /// `[batch, seq, width]`, overwritten unless it is given.
    pub q: u64,
    /// `[batch, latents, 2, width]`.
    pub kv: u64,
    /// `[width, width]`.
    pub out_weight: u64,
    /// `[batch, seq, width]`.
    pub residual: u64,
    /// `[width]`.
    pub gain: u64,
    /// `[batch, seq, width]`, overwritten.
    pub out: u64,
    /// `[batch, seq, width]`, overwritten.
    pub normed: u64,
    /// `[batch, seq]` f32, overwritten.
    pub inv_rms: u64,
    /// `[seq, head_dim / 2]` f32: angles of the tokens.
    pub cos: u64,
    /// `[seq, head_dim / 2]` f32.
    pub sin: u64,
    /// `[latents, head_dim / 2]` f32: angles of the latents; 0 leaves the keys unrotated.
    pub latent_cos: u64,
    /// `[latents, head_dim / 2]` f32, or 0.
    pub latent_sin: u64,
    /// Added to the mean square.
    pub eps: f32,
    /// Extents; `batch` and `seq` at least 1.
    pub shape: LatentAttentionShape,
}

impl LatentBlockForward {
    /// One launch; `None` for a storage type, a shape or addresses that the kernels do not take. Takes
    /// up to 96 KiB of shared memory, which CUDA has to be asked for.
    pub fn launch(&self, storage: Storage) -> Option<Launch> {
        let plan = Plan::new(self.shape).filter(|_| storage == Storage::Bf16)?;
        let stored = [
            self.n,
            self.query_weight,
            self.q,
            self.kv,
            self.out_weight,
            self.residual,
            self.gain,
            self.out,
            self.normed,
        ];
        if !aligned(&stored) {
            return None;
        }
        let angles = [self.inv_rms, self.cos, self.sin, self.latent_cos, self.latent_sin];
        let mut args: Vec<Arg> = stored.into_iter().chain(angles).map(Arg::Pointer).collect();
        args.extend(plan.extents());
        args.extend([Arg::F32(self.eps), Arg::F32(self.shape.head_dim.scale())]);
        let blocks = self.shape.batch as u64 * self.shape.seq.div_ceil(ROWS) as u64;
        Some(plan.launch(Pass::Forward, blocks, plan.rows() + FORWARD_AREA, args))
    }
}

/// The gradients of the keys and values, and of what the queries were made of: `residual` and the
/// norm of it that `query_weight` was multiplied with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentBlockBackward {
    /// `[batch, seq, width]`.
    pub d_out: u64,
    /// `[batch, seq, width]`.
    pub q: u64,
    /// `[batch, latents, 2, width]`.
    pub kv: u64,
    /// `[width, width]`.
    pub out_weight: u64,
    /// `[width, width]`; 0 with the four that follow where the queries' gradient is not wanted.
    pub query_weight: u64,
    /// `[batch, seq, width]`.
    pub residual: u64,
    /// `[width]`.
    pub gain: u64,
    /// `[batch, seq]` f32.
    pub inv_rms: u64,
    /// `[batch, seq, width]`, overwritten; may be `d_out`.
    pub d_residual: u64,
    /// `[batch, latents, 2, width]`, overwritten; 0 leaves the sums of the chunks where they are.
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
    /// Extents; `batch` and `seq` at least 1.
    pub shape: LatentAttentionShape,
}

impl LatentBlockBackward {
    /// The pass over tokens, then, into `d_kv`, the one that adds up their chunks; `None` for a storage type, a
    /// shape or addresses that the kernels do not take. Takes up to 99 KiB of shared memory, which
    /// CUDA has to be asked for.
    pub fn launches(&self, storage: Storage) -> Option<Vec<Launch>> {
        let plan = Plan::new(self.shape).filter(|_| storage == Storage::Bf16)?;
        let (columns, shared_bytes) = plan.backward()?;
        let stored = [
            self.d_out,
            self.q,
            self.kv,
            self.out_weight,
            self.query_weight,
            self.residual,
            self.gain,
        ];
        if !aligned(&stored) || !aligned(&[self.d_residual]) {
            return None;
        }
        let others = [
            self.inv_rms,
            self.d_residual,
            self.partial,
            self.cos,
            self.sin,
            self.latent_cos,
            self.latent_sin,
        ];
        let mut args: Vec<Arg> = stored.into_iter().chain(others).map(Arg::Pointer).collect();
        args.extend(plan.extents());
        args.extend([Arg::U32(columns), Arg::F32(self.shape.head_dim.scale())]);
        let blocks = LatentAttentionBackward::chunks(&self.shape);
        let tokens = plan.launch(Pass::Backward, blocks, shared_bytes, args);
        if self.d_kv == 0 {
            return Some(vec![tokens]);
        }
        let pointers = [self.partial, self.d_kv, self.latent_cos, self.latent_sin];
        Some(vec![tokens, LatentAttentionBackward::reduce(&self.shape, storage, pointers)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::HeadWidth;

    #[test]
    fn every_entry_point_is_in_the_module() {
        for entry in ENTRY_POINTS {
            assert!(MODULE.ptx.contains(&format!(".entry {}(", entry.name)), "{}", entry.name);
        }
    }

    fn plan(heads: u32, head_dim: usize, latents: u32) -> Option<Plan> {
        let head_dim = HeadWidth::new(head_dim).expect("a width of the kernels");
        Plan::new(LatentAttentionShape { batch: 1, seq: 1, heads, head_dim, latents })
    }

    /// Up to 16 latents a layer at any width, as every preset has them, and up to 64 at some.
    #[test]
    fn the_presets_fit_a_block() {
        let columns = |heads, head_dim, latents| {
            let (columns, bytes) = plan(heads, head_dim, latents)?.backward()?;
            assert!(bytes <= MOST_SHARED && columns.is_multiple_of(head_dim as u32));
            Some(columns)
        };
        assert_eq!([4, 8, 16].map(|latents| columns(8, 64, latents)), [Some(128); 3]);
        assert_eq!([16, 32, 64].map(|d| columns(512 / d as u32, d, 16)), [64, 64, 128].map(Some));
        assert_eq!(columns(4, 128, 16), Some(128));
        assert_eq!([32, 33].map(|latents| columns(8, 64, latents)), [Some(64), None]);
        assert_eq!(columns(4, 32, 64), Some(64));
    }

    #[test]
    fn other_shapes_are_left_to_other_kernels() {
        for (heads, head_dim, latents) in [(1, 16, 8), (9, 64, 8), (8, 48, 8), (3, 16, 8)] {
            assert_eq!(plan(heads, head_dim, latents), None);
        }
    }
}
