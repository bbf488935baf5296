//! The records of the files.

use serde::{Deserialize, Deserializer, Serialize};

/// A line of a file that is cut by iteration when a run is resumed.
pub trait Record: Serialize {
    /// The iteration (from 0) that it belongs to.
    fn iteration(&self) -> u64;
}

/// One iteration. Losses are in nats per token unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The iteration, from 0.
    pub iteration: u64,
    /// Tokens trained on, this iteration included.
    pub tokens: u64,
    /// Loss of the slow step: mean cross-entropy at the inferred z.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// E log p(x|z), negated, at the inferred posterior.
    #[serde(deserialize_with = "null_is_nan")]
    pub nll: f64,
    /// KL(q || prior) per token.
    #[serde(default = "nan", deserialize_with = "null_is_nan", skip_serializing_if = "is_nan")]
    pub kl: f64,
    /// `nll + kl`: the negative evidence lower bound per token.
    #[serde(default = "nan", deserialize_with = "null_is_nan", skip_serializing_if = "is_nan")]
    pub bound: f64,
    /// Learning rate of the weights.
    #[serde(deserialize_with = "null_is_nan")]
    pub slow_lr: f64,
    /// Learning rate of the first fast step.
    #[serde(deserialize_with = "null_is_nan")]
    pub fast_lr: f64,
    /// Global L2 norm of the weights' gradient before clipping.
    #[serde(deserialize_with = "null_is_nan")]
    pub grad_norm: f64,
    /// What clipping multiplied the gradient by.
    #[serde(deserialize_with = "null_is_nan")]
    pub clip_factor: f64,
    /// nll per token before each fast step.
    #[serde(deserialize_with = "nulls_are_nan")]
    pub fast_nll: Vec<f64>,
    /// KL per token before each fast step.
    #[serde(deserialize_with = "nulls_are_nan")]
    pub fast_kl: Vec<f64>,
    /// nll and the KL with its weight in this iteration and the free bits, which is what was
    /// minimised; absent where that is the bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<f64>,
    /// Where z is a point, these figures; `kl` and `bound` are then absent (NaN), and
    /// `fast_kl` is empty.
    #[serde(flatten)]
    pub point: Option<PointFigures>,
    /// The validation after this iteration, if there was one.
    #[serde(flatten)]
    pub validation: Option<Validation>,
}

impl Metrics {
    /// nll and what stands beside it, for people.
    pub fn in_words(&self) -> String {
        let Self { nll, kl, bound, .. } = self;
        match &self.point {
            None => format!("nll {nll:.4} kl {kl:.4} bound {bound:.4}"),
            Some(p) => format!(
                "nll {nll:.4} -log p(z) {:.4} -log p(x, z) {:.4}",
                p.neg_log_prior, p.neg_log_joint
            ),
        }
    }
}

/// A validation; units as in [`Metrics`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// nll per token.
    #[serde(deserialize_with = "null_is_nan")]
    pub val_nll: f64,
    /// KL per token.
    #[serde(default = "nan", deserialize_with = "null_is_nan", skip_serializing_if = "is_nan")]
    pub val_kl: f64,
    /// `val_nll + val_kl`.
    #[serde(default = "nan", deserialize_with = "null_is_nan", skip_serializing_if = "is_nan")]
    pub val_bound: f64,
    /// nll per token before each fast step.
    #[serde(deserialize_with = "nulls_are_nan")]
    pub val_fast_nll: Vec<f64>,
    /// KL per token before each fast step.
    #[serde(deserialize_with = "nulls_are_nan")]
    pub val_fast_kl: Vec<f64>,
    /// Where z is a point, these figures; `val_kl` and `val_bound` are then absent (NaN),
    /// and `val_fast_kl` is empty.
    #[serde(flatten)]
    pub point: Option<PointValidation>,
}

impl Validation {
    /// nll and what stands beside it, for people.
    pub fn in_words(&self) -> String {
        let Self { val_nll: nll, val_kl: kl, val_bound: bound, .. } = self;
        match &self.point {
            None => format!("nll {nll:.4} + kl {kl:.4} = bound {bound:.4}"),
            Some(p) => format!(
                "nll {nll:.4} with -log p(z) {:.4}: -log p(x, z) {:.4}",
                p.val_neg_log_prior, p.val_neg_log_joint
            ),
        }
    }
}

/// What there is in place of KL and bound where Langevin dynamics infers a point z. Nats per token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointFigures {
    /// `-log p(z)`, a density's, which may be below 0.
    #[serde(deserialize_with = "null_is_nan")]
    pub neg_log_prior: f64,
    /// `nll - log p(z)`, which is `-log p(x, z)` and no bound on `-log p(x)`.
    #[serde(deserialize_with = "null_is_nan")]
    pub neg_log_joint: f64,
    /// `-log p(z)` before each fast step.
    #[serde(deserialize_with = "nulls_are_nan")]
    pub fast_neg_log_prior: Vec<f64>,
}

/// The same of a validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointValidation {
    /// `-log p(z)`.
    #[serde(deserialize_with = "null_is_nan")]
    pub val_neg_log_prior: f64,
    /// `val_nll - log p(z)`.
    #[serde(deserialize_with = "null_is_nan")]
    pub val_neg_log_joint: f64,
    /// `-log p(z)` before each fast step.
    #[serde(deserialize_with = "nulls_are_nan")]
    pub val_fast_neg_log_prior: Vec<f64>,
}

/// What one iteration took on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The iteration, from 0.
    pub iteration: u64,
    /// Wall time in seconds.
    #[serde(deserialize_with = "null_is_nan")]
    pub seconds: f64,
    /// Training tokens per second of wall time.
    #[serde(deserialize_with = "null_is_nan")]
    pub tokens_per_second: f64,
    /// Resident memory of the process in bytes.
    pub rss_bytes: u64,
}

/// A piece of generated text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The iteration (from 0) after which it was generated.
    pub iteration: u64,
    /// Where z came from, such as `prior` or `posterior`.
    pub kind: String,
    /// The text that it continues; empty if none.
    pub prompt: String,
    /// The continuation.
    pub text: String,
}

impl Record for Metrics {
    fn iteration(&self) -> u64 {
        self.iteration
    }
}

impl Record for Timing {
    fn iteration(&self) -> u64 {
        self.iteration
    }
}

impl Record for Sample {
    fn iteration(&self) -> u64 {
        self.iteration
    }
}

fn nan() -> f64 {
    f64::NAN
}

fn is_nan(value: &f64) -> bool {
    value.is_nan()
}

fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn nulls_are_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}
