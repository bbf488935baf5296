//! The operations: arguments, shapes, and the trait that a backend implements.
//!
//! Matrices are row-major. Every argument structure has a `check` that a backend calls first.
//! Every reduction has a fixed order: the same input gives the same bits, whatever the number
//! of threads. "Added to" marks arguments that accumulate.
//!
//! Arguments in "storage" are f32 or bf16, all of one call alike; arithmetic is in f32 either
//! way. Statistics and gradients of weights are f32 always. The CPU takes f32 only.

mod adamw;
mod add;
mod check;
mod embedding;
mod gaussian;
mod gaussian_descent;
mod grouped_linear;
mod latent_attention;
mod latent_attention_linear;
mod latent_attention_swiglu;
mod latent_block;
mod latent_prior;
mod linear;
mod linear_cross_entropy;
mod linear_rms_norm;
mod linear_swiglu;
mod normal;
mod rms_norm;
mod sample;
mod swiglu;
mod trace;
mod window_attention;

pub use adamw::*;
pub use add::*;
pub use embedding::*;
pub use gaussian::*;
pub use gaussian_descent::*;
pub use grouped_linear::*;
pub use latent_attention::*;
pub use latent_attention_linear::*;
pub use latent_attention_swiglu::*;
pub use latent_block::*;
pub use latent_prior::*;
pub use linear::*;
pub use linear_cross_entropy::*;
pub use linear_rms_norm::*;
pub use linear_swiglu::*;
pub use normal::*;
pub use rms_norm::*;
pub use sample::*;
pub use swiglu::*;
pub use trace::*;
pub use window_attention::*;

use crate::{Error, Result};

/// Every operation of a Latent Thought Model, forward and backward.
///
/// Operations of one device run in the order of the calls; results are visible to later calls
/// and, after [`crate::Device::synchronize`], to the host.
///
/// # Errors
/// Every method fails if the arguments do not pass their `check`. An index in device memory that
/// is out of range is an error too: of the call itself, or, on a device that runs calls while the
/// host goes on, of the next [`crate::Device::synchronize`] or download, in the name of the
/// operation. What was called in between has run on whatever was there.
pub trait Ops {
    /// See [`EmbeddingForward`].
    fn embedding_forward(&mut self, args: &EmbeddingForward<'_>) -> Result<()>;
    /// See [`EmbeddingBackward`].
    fn embedding_backward(&mut self, args: &EmbeddingBackward<'_>) -> Result<()>;
    /// See [`RmsNormForward`].
    fn rms_norm_forward(&mut self, args: &RmsNormForward<'_>) -> Result<()>;
    /// See [`RmsNormBackward`].
    fn rms_norm_backward(&mut self, args: &RmsNormBackward<'_>) -> Result<()>;
    /// See [`LinearForward`].
    fn linear_forward(&mut self, args: &LinearForward<'_>) -> Result<()>;
    /// As [`Ops::linear_forward`], with every row computed as if it were alone: what is decoded
    /// beside a text, or how many of its tokens at once, changes none of its bits. For few rows.
    fn linear_decode(&mut self, args: &LinearForward<'_>) -> Result<()>;
    /// See [`LinearBackwardInput`].
    fn linear_backward_input(&mut self, args: &LinearBackwardInput<'_>) -> Result<()>;
    /// See [`LinearBackwardWeight`].
    fn linear_backward_weight(&mut self, args: &LinearBackwardWeight<'_>) -> Result<()>;
    /// See [`WindowAttentionForward`].
    fn window_attention_forward(&mut self, args: &WindowAttentionForward<'_>) -> Result<()>;
    /// See [`WindowAttentionBackward`].
    fn window_attention_backward(&mut self, args: &WindowAttentionBackward<'_>) -> Result<()>;
    /// See [`WindowAttentionDecode`].
    fn window_attention_decode(&mut self, args: &WindowAttentionDecode<'_>) -> Result<()>;
    /// See [`LatentAttentionForward`].
    fn latent_attention_forward(&mut self, args: &LatentAttentionForward<'_>) -> Result<()>;
    /// See [`LatentAttentionBackward`].
    fn latent_attention_backward(&mut self, args: &LatentAttentionBackward<'_>) -> Result<()>;
    /// See [`LatentAttentionReduce`].
    fn latent_attention_reduce(&mut self, args: &LatentAttentionReduce<'_>) -> Result<()>;
    /// See [`LatentBlockForward`].
    fn latent_block_forward(&mut self, args: &LatentBlockForward<'_>) -> Result<()>;
    /// See [`LatentBlockBackward`].
    fn latent_block_backward(&mut self, args: &LatentBlockBackward<'_>) -> Result<()>;
    /// See [`GroupedLinearForward`].
    fn grouped_linear_forward(&mut self, args: &GroupedLinearForward<'_>) -> Result<()>;
    /// See [`GroupedLinearBackwardInput`].
    fn grouped_linear_backward_input(
        &mut self,
        args: &GroupedLinearBackwardInput<'_>,
    ) -> Result<()>;
    /// See [`LinearRmsNormForward`].
    fn linear_rms_norm_forward(&mut self, args: &LinearRmsNormForward<'_>) -> Result<()>;
    /// See [`LinearRmsNormBackward`].
    fn linear_rms_norm_backward(&mut self, args: &LinearRmsNormBackward<'_>) -> Result<()>;
    /// See [`LatentAttentionLinearForward`]. [`Error::NoKernel`] where a device has none, as for
    /// the next three.
    fn latent_attention_linear_forward(
        &mut self,
        args: &LatentAttentionLinearForward<'_>,
    ) -> Result<()> {
        args.check()?;
        Err(Error::NoKernel { op: "latent_attention_linear_forward" })
    }
    /// See [`LatentAttentionLinearBackward`].
    fn latent_attention_linear_backward(
        &mut self,
        args: &LatentAttentionLinearBackward<'_>,
    ) -> Result<()> {
        args.check()?;
        Err(Error::NoKernel { op: "latent_attention_linear_backward" })
    }
    /// See [`LatentAttentionSwigluForward`].
    fn latent_attention_swiglu_forward(
        &mut self,
        args: &LatentAttentionSwigluForward<'_>,
    ) -> Result<()> {
        args.check()?;
        Err(Error::NoKernel { op: "latent_attention_swiglu_forward" })
    }
    /// See [`LatentAttentionSwigluBackward`].
    fn latent_attention_swiglu_backward(
        &mut self,
        args: &LatentAttentionSwigluBackward<'_>,
    ) -> Result<()> {
        args.check()?;
        Err(Error::NoKernel { op: "latent_attention_swiglu_backward" })
    }
    /// See [`LinearSwigluForward`].
    fn linear_swiglu_forward(&mut self, args: &LinearSwigluForward<'_>) -> Result<()>;
    /// See [`LinearSwigluBackward`].
    fn linear_swiglu_backward(&mut self, args: &LinearSwigluBackward<'_>) -> Result<()>;
    /// See [`SwigluForward`].
    fn swiglu_forward(&mut self, args: &SwigluForward<'_>) -> Result<()>;
    /// See [`SwigluBackward`].
    fn swiglu_backward(&mut self, args: &SwigluBackward<'_>) -> Result<()>;
    /// See [`LinearCrossEntropy`].
    fn linear_cross_entropy(&mut self, args: &LinearCrossEntropy<'_>) -> Result<()>;
    /// See [`GaussianReparameterise`].
    fn gaussian_reparameterise(&mut self, args: &GaussianReparameterise<'_>) -> Result<()>;
    /// See [`GaussianKl`].
    fn gaussian_kl(&mut self, args: &GaussianKl<'_>) -> Result<()>;
    /// See [`GaussianBackward`].
    fn gaussian_backward(&mut self, args: &GaussianBackward<'_>) -> Result<()>;
    /// See [`GaussianUpdate`].
    fn gaussian_update(&mut self, args: &GaussianUpdate<'_>) -> Result<()>;
    /// See [`GaussianDescent`]. [`Error::NoKernel`] where a device has none, as for the next three.
    fn gaussian_descent(&mut self, args: &GaussianDescent<'_>) -> Result<()> {
        args.check()?;
        Err(Error::NoKernel { op: "gaussian_descent" })
    }
    /// See [`Langevin`].
    fn langevin(&mut self, args: &Langevin<'_>) -> Result<()> {
        args.check()?;
        Err(Error::NoKernel { op: "langevin" })
    }
    /// See [`PriorDivergence`].
    fn prior_divergence(&mut self, args: &PriorDivergence<'_>) -> Result<()> {
        args.check()?;
        Err(Error::NoKernel { op: "prior_divergence" })
    }
    /// See [`PriorBackward`].
    fn prior_backward(&mut self, args: &PriorBackward<'_>) -> Result<()> {
        args.check()?;
        Err(Error::NoKernel { op: "prior_backward" })
    }
    /// See [`Trace`].
    fn trace(&mut self, args: &Trace<'_>) -> Result<()>;
    /// See [`AdamW`].
    fn adamw(&mut self, args: &AdamW<'_>) -> Result<()>;
    /// See [`GlobalNorm`].
    fn global_norm(&mut self, args: &GlobalNorm<'_>) -> Result<()>;
    /// See [`Normal`].
    fn normal(&mut self, args: &Normal<'_>) -> Result<()>;
    /// See [`Sample`].
    fn sample(&mut self, args: &Sample<'_>) -> Result<()>;
    /// See [`Add`].
    fn add(&mut self, args: &Add<'_>) -> Result<()>;
}
