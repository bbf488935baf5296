//! The files in which a run writes down its figures.

use std::time::{SystemTime, UNIX_EPOCH};

use ltm_tools::tensorboard::EventWriter;

use crate::Result;
use crate::metrics::{JsonLines, Metrics, Sample, Timing};
use crate::run_dir::RunPaths;

/// Metrics, timings and samples as JSON lines, and TensorBoard events.
pub(super) struct Log {
    metrics: JsonLines<Metrics>,
    timing: JsonLines<Timing>,
    samples: JsonLines<Sample>,
    events: EventWriter,
}

impl Log {
    /// Opens the files of a run whose next iteration is `iteration`; what they say of it or later
    /// ones is cut off.
    pub(super) fn open(paths: &RunPaths, iteration: u64) -> Result<Self> {
        let restart = (iteration > 0).then_some(iteration as i64);
        Ok(Self {
            metrics: JsonLines::open(&paths.metrics(), iteration)?,
            timing: JsonLines::open(&paths.timing(), iteration)?,
            samples: JsonLines::open(&paths.samples(), iteration)?,
            events: EventWriter::create(paths.root(), restart)?,
        })
    }

    /// Writes down one iteration.
    pub(super) fn append(&mut self, metrics: &Metrics, timing: &Timing) -> Result<()> {
        self.metrics.append(metrics)?;
        self.timing.append(timing)?;
        let mut values = vec![
            ("train/nll", metrics.nll),
            ("train/kl", metrics.kl),
            ("train/bound", metrics.bound),
            ("train/grad_norm", metrics.grad_norm),
            ("train/clip_factor", metrics.clip_factor),
            ("train/slow_lr", metrics.slow_lr),
            ("train/fast_lr", metrics.fast_lr),
            ("train/tokens_per_second", timing.tokens_per_second),
        ];
        if let Some(v) = &metrics.validation {
            values.extend([
                ("val/nll", v.val_nll),
                ("val/kl", v.val_kl),
                ("val/bound", v.val_bound),
            ]);
        }
        if let Some(objective) = metrics.objective {
            values.push(("train/objective", objective));
        }
        if let Some(p) = &metrics.point {
            values.extend([
                ("train/neg_log_prior", p.neg_log_prior),
                ("train/neg_log_joint", p.neg_log_joint),
            ]);
        }
        if let Some(p) = metrics.validation.as_ref().and_then(|v| v.point.as_ref()) {
            values.extend([
                ("val/neg_log_prior", p.val_neg_log_prior),
                ("val/neg_log_joint", p.val_neg_log_joint),
            ]);
        }
        // What a point does not have is left out.
        values.retain(|(name, value)| {
            metrics.point.is_none()
                || !value.is_nan()
                || !(name.ends_with("kl") || name.ends_with("bound"))
        });
        let values: Vec<(&str, f32)> = values.into_iter().map(|(n, v)| (n, v as f32)).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        self.events.scalars(metrics.iteration as i64, &values, now)?;
        Ok(self.events.flush()?)
    }

    /// Writes down a text.
    pub(super) fn append_sample(&mut self, sample: &Sample) -> Result<()> {
        Ok(self.samples.append(sample)?)
    }

    /// Makes every line durable, so that no checkpoint is ahead of its figures.
    pub(super) fn sync(&self) -> Result<()> {
        self.metrics.sync()?;
        self.timing.sync()?;
        Ok(self.samples.sync()?)
    }
}
