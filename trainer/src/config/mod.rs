//! Every setting of a run, where settings come from, and what they resolve to.
//!
//! A configuration is built in layers: a preset, then a file, then single keys
//! ([`Layers`]). Unknown keys, wrong types and impossible combinations are errors that name the
//! key, its value and where it was written.

mod compare;
mod error;
mod fast;
mod layering;
mod model;
mod origin;
mod preset;
mod slow;
mod train;
mod validate;

pub use error::{ConfigError, Problem};
pub use fast::{FastConfig, Init, Method, Noise, PosteriorConfig, Ramp};
pub use layering::Layers;
pub(crate) use layering::collect_leaves;
pub use model::{LatentSpacing, ModelConfig, PRIOR_PARAMETERS, PriorKind, ScaledInit};
pub use origin::Origin;
pub use preset::Preset;
pub use slow::{FirstLr, SlowConfig, TrajectorySamples};
pub use train::{Dtype, TrainConfig};

use serde::{Deserialize, Serialize};

/// Every setting of a run. `Config::default()` is the published `small` model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which description of the training decides what is left at `auto`. Default `released`.
    pub reading: Reading,
    /// Shape of the decoder.
    pub model: ModelConfig,
    /// Start of every sequence's posterior.
    pub posterior: PosteriorConfig,
    /// The fast loop.
    pub fast: FastConfig,
    /// The slow step.
    pub slow: SlowConfig,
    /// Length, batch and bookkeeping.
    pub train: TrainConfig,
}

/// The published descriptions of the training, which differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// The training code that produced the published figures: weight gradients of all fast steps
    /// accumulate, the fast peak is constant, iteration 0 runs at learning rate 0.
    Released,
    /// The paper's text: weight gradients only at the inferred z, the fast peak rises over
    /// training, iteration 0 takes the first warm-up step.
    Paper,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reading: Reading::Released,
            model: ModelConfig::default(),
            posterior: PosteriorConfig::default(),
            fast: FastConfig::default(),
            slow: SlowConfig::default(),
            train: TrainConfig::default(),
        }
    }
}

impl Config {
    /// Fast steps of each iteration whose weight gradients are used; at most `fast.steps`.
    pub fn trajectory_samples(&self) -> usize {
        match (self.slow.trajectory_samples, self.reading) {
            (TrajectorySamples::Count(count), _) => count,
            (TrajectorySamples::Auto, Reading::Released) => self.fast.steps,
            (TrajectorySamples::Auto, Reading::Paper) => 0,
        }
    }

    /// Whether the fast peak rises over training.
    pub fn ramps(&self) -> bool {
        match (self.fast.ramp, self.reading) {
            (Ramp::On, _) | (Ramp::Auto, Reading::Paper) => true,
            (Ramp::Off, _) | (Ramp::Auto, Reading::Released) => false,
        }
    }

    /// Whether iteration 0 runs at learning rate 0.
    pub fn starts_at_zero_lr(&self) -> bool {
        match (self.slow.first_lr, self.reading) {
            (FirstLr::Zero, _) | (FirstLr::Auto, Reading::Released) => true,
            (FirstLr::Step, _) | (FirstLr::Auto, Reading::Paper) => false,
        }
    }

    /// Iteration at which the slow cosine ends, with 0 resolved.
    pub fn slow_total(&self) -> u64 {
        match self.slow.total {
            0 => self.train.iterations,
            fixed => fixed,
        }
    }

    /// Tokens per training sequence with 0 resolved.
    pub fn seq_len(&self) -> usize {
        match self.train.seq_len {
            0 => self.model.max_seq_len,
            fixed => fixed,
        }
    }

    /// Sequences held at once where memory does not matter: 0 stands for all.
    pub fn micro_batch(&self) -> usize {
        match self.train.micro_batch {
            0 => self.train.batch,
            fixed => fixed,
        }
    }

    /// Element type of activations and of the weights that passes read.
    pub fn storage(&self) -> ltm_engine::DType {
        self.train.dtype.storage()
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.model.head_dim()
    }

    /// Latent vectors a single layer attends to.
    pub fn latents_per_layer(&self) -> usize {
        self.model.latents_per_layer()
    }

    /// Width of the feed-forward block with 0 resolved.
    pub fn ffn_dim(&self) -> usize {
        self.model.ffn_dim()
    }

    /// Rotary positions of a layer's latents.
    pub fn latent_positions(&self) -> Vec<i32> {
        self.model.latent_positions()
    }

    /// Every parameter's name and shape, in checkpoint order.
    pub fn parameter_shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.model.parameter_shapes()
    }

    /// Number of trainable scalars.
    pub fn parameter_count(&self) -> usize {
        self.model.parameter_count()
    }

    /// The configuration as TOML; [`Layers::from_toml`] reads the same configuration back.
    ///
    /// # Errors
    /// [`ConfigError::Unwritable`] for a seed beyond TOML's signed 64-bit integers.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|error| ConfigError::Unwritable(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
