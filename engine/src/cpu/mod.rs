//! The reference backend: f32 on the host's cores, with the thread count of the caller.
//!
//! Work is cut into tasks by shape alone, never by the number of threads, and partial sums
//! are added in task order; so every result has the same bits for any number of threads.

#[macro_use]
mod simd;
#[macro_use]
mod lanes;

mod adamw;
mod add;
mod available;
mod embedding;
mod gaussian;
mod gaussian_descent;
mod grouped_linear;
mod head;
mod latent_attention;
mod latent_attention_linear;
mod latent_attention_swiglu;
mod latent_prior;
mod latent_values;
mod latent_weights;
mod linear;
mod linear_cross_entropy;
mod linear_rms_norm;
mod linear_swiglu;
mod math;
mod matmul;
mod memory;
mod normal;
mod parallel;
mod pool;
mod rms_norm;
mod ropes;
mod sample;
mod scratch;
mod steps;
mod swiglu;
mod tile;
mod trace;
mod window_attention;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ops::*;
use crate::{Buffer, DType, Device, DeviceId, Error, MemoryInfo, Processor, Result};

pub use latent_attention_swiglu::latent_attention_swiglu_scratch_bytes;
pub use linear_cross_entropy::{LossGradients, loss_scratch_bytes};
pub use matmul::{MatmulUsage, matmul_usage};

use memory::{bytes, bytes_mut};
use ropes::Ropes;

/// The CPU as a device.
pub struct Cpu {
    id: DeviceId,
    pool: pool::Pool,
    ropes: Ropes,
    partials: scratch::Partials,
    limit: Option<u64>,
}

impl Cpu {
    /// A device of `threads` threads, the calling one among them (0: one per core).
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the threads cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let pool = pool::Pool::new(threads)
            .map_err(|e| Error::Unavailable { device: "cpu".into(), reason: e.to_string() })?;
        Ok(Self {
            id: DeviceId(NEXT.fetch_add(1, Ordering::Relaxed)),
            pool,
            ropes: Ropes::default(),
            partials: scratch::Partials::default(),
            limit: None,
        })
    }

    /// The same device with at most `limit` bytes of the machine's memory to use.
    #[must_use]
    pub fn within(mut self, limit: Option<u64>) -> Self {
        self.limit = limit;
        self
    }

    /// Threads that an operation uses.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }
}

impl Device for Cpu {
    fn id(&self) -> DeviceId {
        self.id
    }

    fn name(&self) -> String {
        let n = self.threads();
        format!("cpu ({n} thread{}, {})", if n == 1 { "" } else { "s" }, simd::level().name())
    }

    fn alloc(&mut self, dtype: DType, len: usize) -> Result<Buffer> {
        memory::alloc(self.id, dtype, len)
    }

    fn stores(&self, storage: DType) -> bool {
        storage == DType::F32
    }

    fn upload_bytes(&mut self, to: &Buffer, from: &[u8]) -> Result<()> {
        same_length("upload", to.byte_len(), from.len())?;
        bytes_mut(self.id, "upload", to)?.copy_from_slice(from);
        Ok(())
    }

    fn download_bytes(&mut self, from: &Buffer, to: &mut [u8]) -> Result<()> {
        same_length("download", from.byte_len(), to.len())?;
        to.copy_from_slice(bytes(self.id, "download", from)?);
        Ok(())
    }

    fn copy(&mut self, from: &Buffer, to: &Buffer) -> Result<()> {
        same_length("copy", from.byte_len(), to.byte_len())?;
        if from.dtype() != to.dtype() {
            let (found, expected) = (to.dtype(), from.dtype());
            return Err(Error::Type { op: "copy", what: "to", found, expected });
        }
        if from.overlaps(to) {
            return Err(Error::Overlap { op: "copy" });
        }
        bytes_mut(self.id, "copy", to)?.copy_from_slice(bytes(self.id, "copy", from)?);
        Ok(())
    }

    fn zero(&mut self, buffer: &Buffer) -> Result<()> {
        bytes_mut(self.id, "zero", buffer)?.fill(0);
        Ok(())
    }

    fn synchronize(&mut self) -> Result<()> {
        Ok(())
    }

    fn processor(&self) -> Processor {
        Processor::Cpu
    }

    fn memory(&self) -> Option<MemoryInfo> {
        let machine = available::memory()?;
        Some(self.limit.map_or(machine, |limit| machine.limited(limit)))
    }
}

fn same_length(op: &'static str, a: usize, b: usize) -> Result<()> {
    if a == b {
        return Ok(());
    }
    Err(Error::Extent { op, what: "byte range", found: b, expected: a })
}

impl Ops for Cpu {
    fn embedding_forward(&mut self, args: &EmbeddingForward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| embedding::forward(self.id, args))
    }

    fn embedding_backward(&mut self, args: &EmbeddingBackward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| embedding::backward(self.id, args))
    }

    fn rms_norm_forward(&mut self, args: &RmsNormForward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| rms_norm::forward(self.id, args))
    }

    fn rms_norm_backward(&mut self, args: &RmsNormBackward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| rms_norm::backward(self.id, args, &mut self.partials))
    }

    fn linear_forward(&mut self, args: &LinearForward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| linear::forward(self.id, args))
    }

    fn linear_decode(&mut self, args: &LinearForward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| linear::decode(self.id, args))
    }

    fn linear_backward_input(&mut self, args: &LinearBackwardInput<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| linear::backward_input(self.id, args))
    }

    fn linear_backward_weight(&mut self, args: &LinearBackwardWeight<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| linear::backward_weight(self.id, args, &mut self.partials))
    }

    fn window_attention_forward(&mut self, args: &WindowAttentionForward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| window_attention::forward(self.id, args, &mut self.ropes))
    }

    fn window_attention_backward(&mut self, args: &WindowAttentionBackward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| window_attention::backward(self.id, args, &mut self.ropes))
    }

    fn window_attention_decode(&mut self, args: &WindowAttentionDecode<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| window_attention::decode(self.id, args, &mut self.ropes))
    }

    fn latent_attention_forward(&mut self, args: &LatentAttentionForward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| latent_attention::forward(self.id, args, &mut self.ropes))
    }

    fn latent_attention_backward(&mut self, args: &LatentAttentionBackward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| {
            latent_attention::backward(self.id, args, &mut self.ropes, &mut self.partials)
        })
    }

    fn latent_attention_reduce(&mut self, args: &LatentAttentionReduce<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| latent_attention::reduce(self.id, args))
    }

    fn grouped_linear_forward(&mut self, args: &GroupedLinearForward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| grouped_linear::forward(self.id, args))
    }

    fn grouped_linear_backward_input(
        &mut self,
        args: &GroupedLinearBackwardInput<'_>,
    ) -> Result<()> {
        args.check()?;
        self.pool.install(|| grouped_linear::backward_input(self.id, args))
    }

    fn latent_block_forward(&mut self, args: &LatentBlockForward<'_>) -> Result<()> {
        args.check()?;
        args.in_steps(self)
    }

    fn latent_block_backward(&mut self, args: &LatentBlockBackward<'_>) -> Result<()> {
        args.check()?;
        args.in_steps(self)
    }

    fn linear_rms_norm_forward(&mut self, args: &LinearRmsNormForward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| linear_rms_norm::forward(self.id, args))
    }

    fn linear_rms_norm_backward(&mut self, args: &LinearRmsNormBackward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| linear_rms_norm::backward(self.id, args))
    }

    fn latent_attention_linear_forward(
        &mut self,
        args: &LatentAttentionLinearForward<'_>,
    ) -> Result<()> {
        args.check()?;
        self.pool.install(|| {
            let (ropes, partials) = (&mut self.ropes, &mut self.partials);
            latent_attention_linear::forward(self.id, args, ropes, partials)
        })
    }

    fn latent_attention_linear_backward(
        &mut self,
        args: &LatentAttentionLinearBackward<'_>,
    ) -> Result<()> {
        args.check()?;
        self.pool.install(|| {
            let (ropes, partials) = (&mut self.ropes, &mut self.partials);
            latent_attention_linear::backward(self.id, args, ropes, partials)
        })
    }

    fn latent_attention_swiglu_forward(
        &mut self,
        args: &LatentAttentionSwigluForward<'_>,
    ) -> Result<()> {
        args.check()?;
        self.pool.install(|| {
            let (ropes, partials) = (&mut self.ropes, &mut self.partials);
            latent_attention_swiglu::forward(self.id, args, ropes, partials)
        })
    }

    fn latent_attention_swiglu_backward(
        &mut self,
        args: &LatentAttentionSwigluBackward<'_>,
    ) -> Result<()> {
        args.check()?;
        self.pool.install(|| {
            let (ropes, partials) = (&mut self.ropes, &mut self.partials);
            latent_attention_swiglu::backward(self.id, args, ropes, partials)
        })
    }

    fn linear_swiglu_forward(&mut self, args: &LinearSwigluForward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| linear_swiglu::forward(self.id, args))
    }

    fn linear_swiglu_backward(&mut self, args: &LinearSwigluBackward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| linear_swiglu::backward(self.id, args))
    }

    fn swiglu_forward(&mut self, args: &SwigluForward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| swiglu::forward(self.id, args))
    }

    fn swiglu_backward(&mut self, args: &SwigluBackward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| swiglu::backward(self.id, args))
    }

    fn linear_cross_entropy(&mut self, args: &LinearCrossEntropy<'_>) -> Result<()> {
        args.check()?;
        self.pool
            .install(|| linear_cross_entropy::forward_backward(self.id, args, &mut self.partials))
    }

    fn gaussian_reparameterise(&mut self, args: &GaussianReparameterise<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| gaussian::reparameterise(self.id, args))
    }

    fn gaussian_kl(&mut self, args: &GaussianKl<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| gaussian::kl(self.id, args))
    }

    fn gaussian_backward(&mut self, args: &GaussianBackward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| gaussian::backward(self.id, args))
    }

    fn gaussian_update(&mut self, args: &GaussianUpdate<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| gaussian::update(self.id, args))
    }

    fn gaussian_descent(&mut self, args: &GaussianDescent<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| gaussian_descent::update(self.id, args, &mut self.partials))
    }

    fn langevin(&mut self, args: &Langevin<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| gaussian_descent::langevin(self.id, args))
    }

    fn prior_divergence(&mut self, args: &PriorDivergence<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| latent_prior::divergence(self.id, args))
    }

    fn prior_backward(&mut self, args: &PriorBackward<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| latent_prior::backward(self.id, args))
    }

    fn trace(&mut self, args: &Trace<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| trace::record(self.id, args))
    }

    fn adamw(&mut self, args: &AdamW<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| adamw::step(self.id, args))
    }

    fn global_norm(&mut self, args: &GlobalNorm<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| adamw::global_norm(self.id, args, &mut self.partials))
    }

    fn normal(&mut self, args: &Normal<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| normal::fill(self.id, args))
    }

    fn sample(&mut self, args: &Sample<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| sample::draw(self.id, args))
    }

    fn add(&mut self, args: &Add<'_>) -> Result<()> {
        args.check()?;
        self.pool.install(|| add::accumulate(self.id, args))
    }
}
