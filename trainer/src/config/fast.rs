//! Inference of each sequence's posterior: where it starts and how it is optimised.

use serde::{Deserialize, Serialize};

/// Start of the posterior q(z|x) = N(mu, exp(logvar)) of every sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PosteriorConfig {
    /// Standard deviation of the initial mu around 0. Default 0.01.
    pub mu_std: f64,
    /// Mean of the initial logvar. Default -5: too far from the prior for a few steps to pay
    /// back, so the KL of short fast loops is dominated by it.
    pub logvar_mean: f64,
    /// Standard deviation of the initial logvar around its mean. Default 0.1.
    pub logvar_std: f64,
    /// Where a sequence starts that has been visited before. Default `cold`.
    pub init: Init,
    /// Factor of the KL in what the fast loop minimises, and a learned prior with it; metrics show
    /// the whole KL all the same. Default 1.
    pub kl_weight: f64,
    /// Iterations over which the factor rises linearly to `kl_weight`; evaluation and generation
    /// have all of it always. 0: from the start. Default 0.
    pub kl_warmup: u64,
    /// Nats of each latent vector's KL that cost nothing (the free bits of Kingma et al., 2016).
    /// Default 0.
    pub free_bits: f64,
    /// How often the noise of the draw z = mu + eps exp(logvar / 2) is drawn. Default `fixed`.
    pub noise: Noise,
}

/// Start of a sequence's posterior.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Always at random.
    #[default]
    Cold,
    /// From the posterior that the last visit of the sequence in this training left; at random on
    /// the first visit, and outside training.
    Warm,
}

/// Noise of the fast loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// One eps for all fast steps of a sequence and its inferred z, as released.
    #[default]
    Fixed,
    /// A new eps after every fast step.
    Fresh,
}

impl PosteriorConfig {
    /// Whether what is minimised is not the bound itself.
    pub fn is_weighted(&self) -> bool {
        self.kl_weight != 1.0 || self.kl_warmup > 0 || self.free_bits > 0.0
    }
}

impl Default for PosteriorConfig {
    fn default() -> Self {
        Self {
            mu_std: 0.01,
            logvar_mean: -5.0,
            logvar_std: 0.1,
            init: Init::Cold,
            kl_weight: 1.0,
            kl_warmup: 0,
            free_bits: 0.0,
            noise: Noise::Fixed,
        }
    }
}

/// The fast loop: inference of the latents of one sequence, the decoder held fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FastConfig {
    /// What the loop does. Default `adamw`.
    pub method: Method,
    /// Optimiser steps per sequence; 0 where there are no latents. Default 16.
    pub steps: usize,
    /// Learning rate at the first step where no ramp applies. Default 0.34.
    pub lr: f64,
    /// Decay of the velocity, for `sgd`. Default 0.9.
    pub momentum: f64,
    /// Step size s of `langevin`, the same in all steps. Default 0.01, which suits
    /// `tiny`; longer texts pull harder, and may need less.
    pub langevin_step: f64,
    /// Where the cosine inside the loop ends, as a share of the peak. Default 0.1.
    pub floor: f64,
    /// Decay of the first moment. Default 0.9.
    pub beta1: f64,
    /// Decay of the second moment. Default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    pub eps: f64,
    /// Decoupled decay of mu and logvar, for `adamw`. Default 0.01, which the released code inherits
    /// from its optimiser.
    pub weight_decay: f64,
    /// Length of the cosine in steps; 0 takes `steps`. Later steps run at the floor. Default 0.
    pub schedule_steps: usize,
    /// Whether the peak rises linearly over training from `ramp_from` to `ramp_to`.
    /// Default `auto`: off for `released`, on for `paper`.
    pub ramp: Ramp,
    /// Peak at iteration 0 where the ramp applies. Default 0.30.
    pub ramp_from: f64,
    /// Peak at the end of training where the ramp applies. Default 0.34.
    pub ramp_to: f64,
}

/// How the latents of a sequence are inferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// AdamW on (mu, logvar) of a Gaussian posterior.
    #[default]
    Adamw,
    /// Langevin dynamics on z itself (equation 4 of the paper). There is no posterior in closed
    /// form, hence no KL: -log p(z) is reported in its place. The chain starts at mu's start.
    Langevin,
    /// Stochastic gradient descent with momentum on (mu, logvar). The gradient is that of a sum over
    /// tokens, so `lr` has to be far below AdamW's, such as 0.003.
    Sgd,
    /// The natural gradient of the Gaussian on (mu, logvar).
    Natural,
}

impl Method {
    /// Whether z is one point instead of a distribution.
    pub fn is_point(self) -> bool {
        self == Self::Langevin
    }
}

/// Setting of the rise of the fast peak over training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ramp {
    /// Follow the reading.
    Auto,
    /// `ramp_from` to `ramp_to`.
    On,
    /// Constant `lr`.
    Off,
}

impl Default for FastConfig {
    fn default() -> Self {
        Self {
            method: Method::Adamw,
            steps: 16,
            lr: 0.34,
            momentum: 0.9,
            langevin_step: 0.01,
            floor: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            schedule_steps: 0,
            ramp: Ramp::Auto,
            ramp_from: 0.30,
            ramp_to: 0.34,
        }
    }
}

impl FastConfig {
    /// Length of the cosine in steps with 0 resolved.
    pub fn schedule_steps(&self) -> usize {
        match self.schedule_steps {
            0 => self.steps,
            fixed => fixed,
        }
    }
}
