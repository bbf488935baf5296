//! The operations of a GPU: arguments are checked here, launches are formed in the file of
//! each operation.

use super::{
    Driver, Gpu, adamw, add, embedding, gaussian, grouped_linear, latent_attention, latent_block,
    linear, linear_cross_entropy, linear_rms_norm, linear_swiglu, normal, rms_norm, sample, swiglu,
    trace, window_attention,
};
use crate::Result;
use crate::ops::*;

impl<D: Driver> Ops for Gpu<D> {
    fn embedding_forward(&mut self, args: &EmbeddingForward<'_>) -> Result<()> {
        args.check()?;
        embedding::forward(self, args)
    }

    fn embedding_backward(&mut self, args: &EmbeddingBackward<'_>) -> Result<()> {
        args.check()?;
        embedding::backward(self, args)
    }

    fn rms_norm_forward(&mut self, args: &RmsNormForward<'_>) -> Result<()> {
        args.check()?;
        rms_norm::forward(self, args)
    }

    fn rms_norm_backward(&mut self, args: &RmsNormBackward<'_>) -> Result<()> {
        args.check()?;
        rms_norm::backward(self, args)
    }

    fn linear_forward(&mut self, args: &LinearForward<'_>) -> Result<()> {
        args.check()?;
        linear::forward(self, args)
    }

    fn linear_decode(&mut self, args: &LinearForward<'_>) -> Result<()> {
        args.check()?;
        linear::decode(self, args)
    }

    fn linear_backward_input(&mut self, args: &LinearBackwardInput<'_>) -> Result<()> {
        args.check()?;
        linear::backward_input(self, args)
    }

    fn linear_backward_weight(&mut self, args: &LinearBackwardWeight<'_>) -> Result<()> {
        args.check()?;
        linear::backward_weight(self, args)
    }

    fn window_attention_forward(&mut self, args: &WindowAttentionForward<'_>) -> Result<()> {
        args.check()?;
        window_attention::forward(self, args)
    }

    fn window_attention_backward(&mut self, args: &WindowAttentionBackward<'_>) -> Result<()> {
        args.check()?;
        window_attention::backward(self, args)
    }

    fn window_attention_decode(&mut self, args: &WindowAttentionDecode<'_>) -> Result<()> {
        args.check()?;
        window_attention::decode(self, args)
    }

    fn latent_attention_forward(&mut self, args: &LatentAttentionForward<'_>) -> Result<()> {
        args.check()?;
        latent_attention::forward(self, args)
    }

    fn latent_attention_backward(&mut self, args: &LatentAttentionBackward<'_>) -> Result<()> {
        args.check()?;
        latent_attention::backward(self, args)
    }

    fn latent_attention_reduce(&mut self, args: &LatentAttentionReduce<'_>) -> Result<()> {
        args.check()?;
        latent_attention::reduce(self, args)
    }

    fn grouped_linear_forward(&mut self, args: &GroupedLinearForward<'_>) -> Result<()> {
        args.check()?;
        grouped_linear::forward(self, args)
    }

    fn grouped_linear_backward_input(
        &mut self,
        args: &GroupedLinearBackwardInput<'_>,
    ) -> Result<()> {
        args.check()?;
        grouped_linear::backward_input(self, args)
    }

    fn latent_block_forward(&mut self, args: &LatentBlockForward<'_>) -> Result<()> {
        args.check()?;
        latent_block::forward(self, args)
    }

    fn latent_block_backward(&mut self, args: &LatentBlockBackward<'_>) -> Result<()> {
        args.check()?;
        latent_block::backward(self, args)
    }

    fn linear_rms_norm_forward(&mut self, args: &LinearRmsNormForward<'_>) -> Result<()> {
        args.check()?;
        linear_rms_norm::forward(self, args)
    }

    fn linear_rms_norm_backward(&mut self, args: &LinearRmsNormBackward<'_>) -> Result<()> {
        args.check()?;
        linear_rms_norm::backward(self, args)
    }

    fn linear_swiglu_forward(&mut self, args: &LinearSwigluForward<'_>) -> Result<()> {
        args.check()?;
        linear_swiglu::forward(self, args)
    }

    fn linear_swiglu_backward(&mut self, args: &LinearSwigluBackward<'_>) -> Result<()> {
        args.check()?;
        linear_swiglu::backward(self, args)
    }

    fn swiglu_forward(&mut self, args: &SwigluForward<'_>) -> Result<()> {
        args.check()?;
        swiglu::forward(self, args)
    }

    fn swiglu_backward(&mut self, args: &SwigluBackward<'_>) -> Result<()> {
        args.check()?;
        swiglu::backward(self, args)
    }

    fn linear_cross_entropy(&mut self, args: &LinearCrossEntropy<'_>) -> Result<()> {
        args.check()?;
        linear_cross_entropy::forward_backward(self, args)
    }

    fn gaussian_reparameterise(&mut self, args: &GaussianReparameterise<'_>) -> Result<()> {
        args.check()?;
        gaussian::reparameterise(self, args)
    }

    fn gaussian_kl(&mut self, args: &GaussianKl<'_>) -> Result<()> {
        args.check()?;
        gaussian::kl(self, args)
    }

    fn gaussian_backward(&mut self, args: &GaussianBackward<'_>) -> Result<()> {
        args.check()?;
        gaussian::backward(self, args)
    }

    fn gaussian_update(&mut self, args: &GaussianUpdate<'_>) -> Result<()> {
        args.check()?;
        gaussian::update(self, args)
    }

    fn trace(&mut self, args: &Trace<'_>) -> Result<()> {
        args.check()?;
        trace::record(self, args)
    }

    fn adamw(&mut self, args: &AdamW<'_>) -> Result<()> {
        args.check()?;
        adamw::step(self, args)
    }

    fn global_norm(&mut self, args: &GlobalNorm<'_>) -> Result<()> {
        args.check()?;
        adamw::global_norm(self, args)
    }

    fn normal(&mut self, args: &Normal<'_>) -> Result<()> {
        args.check()?;
        normal::fill(self, args)
    }

    fn sample(&mut self, args: &Sample<'_>) -> Result<()> {
        args.check()?;
        sample::draw(self, args)
    }

    fn add(&mut self, args: &Add<'_>) -> Result<()> {
        args.check()?;
        add::accumulate(self, args)
    }
}
