//! Length, batch and bookkeeping of a run.

use serde::{Deserialize, Serialize};

/// How long to train, on how much at once, and what to keep of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Iterations of the run. Default 60000.
    pub iterations: u64,
    /// Sequences per iteration. Default 512.
    pub batch: usize,
    /// Sequences held at once, a divisor of `batch`; 0 takes `batch`. Default 0.
    pub micro_batch: usize,
    /// Tokens per sequence; 0 takes `model.max_seq_len`. Default 0.
    pub seq_len: usize,
    /// Seed of every random number of the run. Default 1.
    pub seed: u64,
    /// Iterations between checkpoints; the end of a run is always saved, and 0 saves only that.
    /// Default 1000.
    pub checkpoint_every: u64,
    /// Checkpoints to keep, the newest ones; 0 keeps all. Default 3.
    pub keep_checkpoints: usize,
    /// Iterations between validations; 0 never validates. Default 1000.
    pub validate_every: u64,
    /// Sequences of a validation, spread evenly over the validation shards. Default 64.
    pub validation_sequences: usize,
    /// Iterations between text samples; 0 never samples. Default 1000.
    pub sample_every: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            iterations: 60000,
            batch: 512,
            micro_batch: 0,
            seq_len: 0,
            seed: 1,
            checkpoint_every: 1000,
            keep_checkpoints: 3,
            validate_every: 1000,
            validation_sequences: 64,
            sample_every: 1000,
        }
    }
}
