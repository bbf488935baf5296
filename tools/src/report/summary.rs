use std::path::PathBuf;

use super::metrics::{Metrics, Quantity};
use super::series::Series;
use super::timing::Timing;

/// Iterations over which the last training bound is averaged.
const RECENT: usize = 100;

/// What a report came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReportSummary {
    /// The page.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The runs, in the order given.
    pub runs: Vec<RunSummary>,
    /// What a reader should know about the files, each with the name of its run; also in the page.
    pub notes: Vec<String>,
}

/// The numbers by which runs are compared. `None` stands for what was not recorded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunSummary {
    /// The folder, with as many parents as tell the runs of a report apart.
    pub name: String,
    /// Iterations recorded, repeated ones counted once.
    pub iterations: u64,
    /// Training tokens seen.
    pub tokens: Option<u64>,
    /// The last validation.
    pub last_validation: Option<Validation>,
    /// The validation with the lowest bound.
    pub best_validation: Option<Validation>,
    /// Mean bound of the last 100 training iterations, in nats per token.
    pub train_bound: Option<f64>,
    /// Median over the iterations.
    pub tokens_per_second: Option<f64>,
    /// Time in iterations, without what lies between them.
    pub seconds: Option<f64>,
    /// The largest resident memory after any iteration.
    pub peak_rss_bytes: Option<u64>,
}

/// One validation, in nats per token. A number is NaN where it was not finite or not recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validation {
    /// Training iteration after which it ran.
    pub iteration: u64,
    /// Upper bound on the negative log-likelihood: `nll + kl`.
    pub bound: f64,
    /// Cross-entropy of the text at latents inferred from that text.
    pub nll: f64,
    /// What these latents cost.
    pub kl: f64,
}

impl RunSummary {
    pub(super) fn new(name: String, metrics: &Metrics, timing: &Timing) -> Self {
        let bounds = metrics.series(Quantity::ValBound);
        let best = bounds.drawable().min_by(|a, b| a.1.total_cmp(&b.1));
        let validation = |(x, bound): (f64, f64)| Validation {
            iteration: x as u64,
            bound,
            nll: metrics.series(Quantity::ValNll).at(x).unwrap_or(f64::NAN),
            kl: metrics.series(Quantity::ValKl).at(x).unwrap_or(f64::NAN),
        };
        Self {
            name,
            iterations: metrics.iterations.len() as u64,
            tokens: last(metrics.series(Quantity::Tokens)).map(|tokens| tokens as u64),
            last_validation: bounds.points().next_back().map(validation),
            best_validation: best.map(validation),
            train_bound: recent_mean(metrics.series(Quantity::Bound)),
            tokens_per_second: timing.tokens_per_second.quantile(0.5),
            seconds: last(&timing.seconds.running_total()),
            peak_rss_bytes: timing.rss_bytes.quantile(1.0).map(|bytes| bytes as u64),
        }
    }
}

fn last(series: &Series) -> Option<f64> {
    series.drawable().next_back().map(|(_, y)| y)
}

fn recent_mean(series: &Series) -> Option<f64> {
    let recent: Vec<f64> = series.points().rev().take(RECENT).map(|(_, y)| y).collect();
    // A NaN among them is news, not noise: the mean is then NaN too.
    (!recent.is_empty()).then(|| recent.iter().sum::<f64>() / recent.len() as f64)
}
