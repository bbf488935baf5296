//! The decoder's optimiser.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The slow step: AdamW on the weights, once per iteration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlowConfig {
    /// Learning rate after the warm-up. Default 4e-4.
    pub lr: f64,
    /// Learning rate at the end of the cosine and beyond. Default 4e-5.
    pub min_lr: f64,
    /// Iterations of linear warm-up. Default 1000.
    pub warmup: u64,
    /// Iteration at which the cosine ends; 0 takes `train.iterations` when the run is created and
    /// keeps that number if the run is later prolonged. Default 0.
    pub total: u64,
    /// Decay of the first moment. Default 0.9.
    pub beta1: f64,
    /// Decay of the second moment. Default 0.95.
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    pub eps: f64,
    /// Decoupled decay of the matrices; gains are not decayed. Default 0.1.
    pub weight_decay: f64,
    /// Global L2 norm to which the gradient is clipped; 0 does not clip. Default 1.
    pub clip: f64,
    /// Fast steps of each iteration whose weight gradients join the slow step's.
    /// Default `auto`: all of them for `released`, none for `paper`.
    pub trajectory_samples: TrajectorySamples,
    /// What the warm-up starts from. Default `auto`: `zero` for `released`, `step` for `paper`.
    pub first_lr: FirstLr,
}

/// Setting of the learning rate at iteration 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstLr {
    /// Follow the reading.
    Auto,
    /// `lr * iteration / warmup`: iteration 0 changes nothing but the moments.
    Zero,
    /// `lr * (iteration + 1) / warmup`.
    Step,
}

/// How many fast steps' weight gradients are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrajectorySamples {
    /// Follow the reading.
    Auto,
    /// This many, drawn at random in each iteration and scaled to be unbiased.
    Count(usize),
}

impl Default for SlowConfig {
    fn default() -> Self {
        Self {
            lr: 4e-4,
            min_lr: 4e-5,
            warmup: 1000,
            total: 0,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.1,
            clip: 1.0,
            trajectory_samples: TrajectorySamples::Auto,
            first_lr: FirstLr::Auto,
        }
    }
}

impl Serialize for TrajectorySamples {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Count(count) => serializer.serialize_u64(count as u64),
        }
    }
}

impl<'de> Deserialize<'de> for TrajectorySamples {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AutoOrCount)
    }
}

struct AutoOrCount;

impl Visitor<'_> for AutoOrCount {
    type Value = TrajectorySamples;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count from 0 to fast.steps, or \"auto\"")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        usize::try_from(value)
            .map(TrajectorySamples::Count)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        usize::try_from(value)
            .map(TrajectorySamples::Count)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        match value {
            "auto" => Ok(TrajectorySamples::Auto),
            _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
        }
    }
}
