//! Arithmetic of evaluation: fitting z and scoring at it.

use super::work::{self, Gradients};
use crate::config::ModelConfig;
use crate::model::BatchShape;

/// FLOPs over all sequences of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inference {
    /// What does not depend on z, once per batch.
    pub prefix: f64,
    /// A fast step: forward, and back to z.
    pub fast_step: f64,
    /// Losses at one z.
    pub score: f64,
}

impl Inference {
    /// Of sequences of a shape.
    pub fn of(model: &ModelConfig, shape: BatchShape) -> Self {
        let suffix = |latents| work::suffix(model, shape, Gradients { latents, weights: false });
        Self {
            prefix: work::prefix(model, shape).forward.total(),
            fast_step: suffix(true).total(),
            score: suffix(false).forward.total(),
        }
    }
}
