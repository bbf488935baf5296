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
    #[serde(deserialize_with = "null_is_nan")]
    pub kl: f64,
    /// `nll + kl`: the negative evidence lower bound per token.
    #[serde(deserialize_with = "null_is_nan")]
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
    /// The validation after this iteration, if there was one.
    #[serde(flatten)]
    pub validation: Option<Validation>,
}

/// A validation; units as in [`Metrics`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// nll per token.
    #[serde(deserialize_with = "null_is_nan")]
    pub val_nll: f64,
    /// KL per token.
    #[serde(deserialize_with = "null_is_nan")]
    pub val_kl: f64,
    /// `val_nll + val_kl`.
    #[serde(deserialize_with = "null_is_nan")]
    pub val_bound: f64,
    /// nll per token before each fast step.
    #[serde(deserialize_with = "nulls_are_nan")]
    pub val_fast_nll: Vec<f64>,
    /// KL per token before each fast step.
    #[serde(deserialize_with = "nulls_are_nan")]
    pub val_fast_kl: Vec<f64>,
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

fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn nulls_are_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}
