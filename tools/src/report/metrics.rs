//! `metrics.jsonl`: what each training iteration measured.

use std::path::Path;

use serde::{Deserialize, Deserializer};

use super::Error;
use super::fast::{FastCurve, FastCurves};
use super::jsonl::{self, Tail};
use super::series::Series;

/// The scalars of a metrics line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    Tokens,
    Loss,
    Nll,
    Kl,
    Bound,
    SlowLr,
    FastLr,
    GradNorm,
    ClipFactor,
    ValNll,
    ValKl,
    ValBound,
}

impl Quantity {
    pub(super) const ALL: [Self; 12] = [
        Self::Tokens,
        Self::Loss,
        Self::Nll,
        Self::Kl,
        Self::Bound,
        Self::SlowLr,
        Self::FastLr,
        Self::GradNorm,
        Self::ClipFactor,
        Self::ValNll,
        Self::ValKl,
        Self::ValBound,
    ];

    /// The field in the file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Loss => "loss",
            Self::Nll => "nll",
            Self::Kl => "kl",
            Self::Bound => "bound",
            Self::SlowLr => "slow_lr",
            Self::FastLr => "fast_lr",
            Self::GradNorm => "grad_norm",
            Self::ClipFactor => "clip_factor",
            Self::ValNll => "val_nll",
            Self::ValKl => "val_kl",
            Self::ValBound => "val_bound",
        }
    }
}

#[derive(Deserialize)]
struct Line {
    iteration: u64,
    #[serde(default, deserialize_with = "number")]
    tokens: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    loss: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    nll: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    kl: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    bound: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    slow_lr: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    fast_lr: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    grad_norm: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    clip_factor: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    val_nll: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    val_kl: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    val_bound: Option<f64>,
    #[serde(default, deserialize_with = "numbers")]
    fast_nll: Vec<f64>,
    #[serde(default, deserialize_with = "numbers")]
    fast_kl: Vec<f64>,
    #[serde(default, deserialize_with = "numbers")]
    val_fast_nll: Vec<f64>,
    #[serde(default, deserialize_with = "numbers")]
    val_fast_kl: Vec<f64>,
}

impl Line {
    fn get(&self, quantity: Quantity) -> Option<f64> {
        match quantity {
            Quantity::Tokens => self.tokens,
            Quantity::Loss => self.loss,
            Quantity::Nll => self.nll,
            Quantity::Kl => self.kl,
            Quantity::Bound => self.bound,
            Quantity::SlowLr => self.slow_lr,
            Quantity::FastLr => self.fast_lr,
            Quantity::GradNorm => self.grad_norm,
            Quantity::ClipFactor => self.clip_factor,
            Quantity::ValNll => self.val_nll,
            Quantity::ValKl => self.val_kl,
            Quantity::ValBound => self.val_bound,
        }
    }
}

/// A number that was measured; `null` is how JSON writes one that is not finite.
pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let value = Option::<f64>::deserialize(from)?;
    Ok(Some(value.unwrap_or(f64::NAN)))
}

fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let values = Option::<Vec<Option<f64>>>::deserialize(from)?.unwrap_or_default();
    Ok(values.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect())
}

/// Everything read from one `metrics.jsonl`.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    series: [Series; Quantity::ALL.len()],
    /// The iterations recorded.
    pub(super) iterations: Vec<u64>,
    /// Bound over the fast steps of training batches.
    pub(super) train_fast: FastCurves,
    /// Bound over the fast steps of validation.
    pub(super) val_fast: FastCurves,
    /// Lines that a restart from an earlier checkpoint made void.
    pub(super) superseded: usize,
}

impl Metrics {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<(Self, Tail), Error> {
        let mut metrics = Self::default();
        let tail = jsonl::read(path, |line| metrics.push(&line))?;
        metrics.derive();
        Ok((metrics, tail))
    }

    /// One scalar over the run.
    pub(super) fn series(&self, quantity: Quantity) -> &Series {
        &self.series[quantity as usize]
    }

    fn push(&mut self, line: &Line) {
        self.forget_from(line.iteration);
        self.iterations.push(line.iteration);
        let x = line.iteration as f64;
        for quantity in Quantity::ALL {
            if let Some(value) = line.get(quantity) {
                self.series[quantity as usize].push(x, value);
            }
        }
        for (curves, nll, kl) in [
            (&mut self.train_fast, &line.fast_nll, &line.fast_kl),
            (&mut self.val_fast, &line.val_fast_nll, &line.val_fast_kl),
        ] {
            if !(nll.is_empty() && kl.is_empty()) {
                curves.push(FastCurve::new(line.iteration, nll, kl));
            }
        }
    }

    /// A run that died and went on from its last checkpoint repeats iterations: the later lines
    /// are the ones that led to the final weights.
    fn forget_from(&mut self, iteration: u64) {
        if self.iterations.last().is_none_or(|&last| last < iteration) {
            return;
        }
        let keep = self.iterations.partition_point(|&at| at < iteration);
        self.superseded += self.iterations.len() - keep;
        self.iterations.truncate(keep);
        for series in &mut self.series {
            series.forget_from(iteration as f64);
        }
        self.train_fast.forget_from(iteration);
        self.val_fast.forget_from(iteration);
    }

    /// Fills in what follows from other fields.
    fn derive(&mut self) {
        if self.series(Quantity::Nll).is_empty() {
            self.series[Quantity::Nll as usize] = self.series(Quantity::Loss).clone();
        }
        for (bound, nll, kl) in [
            (Quantity::Bound, Quantity::Nll, Quantity::Kl),
            (Quantity::ValBound, Quantity::ValNll, Quantity::ValKl),
        ] {
            if self.series(bound).is_empty() {
                self.series[bound as usize] = self.series(nll).plus(self.series(kl));
            }
        }
    }
}
