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
}

impl Default for PosteriorConfig {
    fn default() -> Self {
        Self { mu_std: 0.01, logvar_mean: -5.0, logvar_std: 0.1 }
    }
}

/// The fast loop: AdamW on (mu, logvar) of one sequence, the decoder held fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FastConfig {
    /// Optimiser steps per sequence; 0 where there are no latents. Default 16.
    pub steps: usize,
    /// Learning rate at the first step where no ramp applies. Default 0.34.
    pub lr: f64,
    /// Where the cosine inside the loop ends, as a share of the peak. Default 0.1.
    pub floor: f64,
    /// Decay of the first moment. Default 0.9.
    pub beta1: f64,
    /// Decay of the second moment. Default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    pub eps: f64,
    /// Decoupled decay of mu and logvar. Default 0.01, which the released code inherits from its
    /// optimiser.
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
            steps: 16,
            lr: 0.34,
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
