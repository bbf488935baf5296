//! Everything besides tensors that a resumed run must know.

use ltm_engine::gpu::ProductChoices;
use serde::{Deserialize, Serialize};

/// Version of the layout of a checkpoint directory.
pub const FORMAT: u32 = 1;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of the layout of the checkpoint directory; [`FORMAT`].
    pub format: u32,
    /// Iterations completed, which is the number of the next one.
    pub iteration: u64,
    /// Training windows consumed: the loader's position.
    pub windows_consumed: u64,
    /// Training windows of the corpus, by which a changed corpus is noticed.
    pub windows: u64,
    /// Updates of the weights, for the optimiser's bias correction.
    pub optimizer_steps: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Name of the tokenizer of the corpus.
    pub tokenizer: String,
    /// The best validation so far.
    pub best_validation: Option<BestValidation>,
    /// Who computes matrix products under `train.gemm = "auto"`, as first measured.
    #[serde(default)]
    pub products: ProductChoices,
}

/// The lowest bound a validation has reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestValidation {
    /// The iteration, from 0, after which it was measured.
    pub iteration: u64,
    /// nll + kl in nats per token; nll - log p(z) where z is a point.
    pub bound: f64,
}
