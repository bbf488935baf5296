//! One micro-batch under evaluation: read, fit z, score.

use std::sync::atomic::{AtomicBool, Ordering};

use ltm_autograd::Segment;
use ltm_engine::DeviceExt;
use ltm_engine::ops::{GaussianReparameterise, Normal};

use super::density::log_ratio;
use super::{Apparatus, EvaluateError, Sequences};
use crate::config::{Config, FastConfig};
use crate::model::BatchShape;
use crate::posterior::prior::HostPrior;
use crate::posterior::{Draw, FastTrace, WeightGradients, draw_prior, draw_start, infer};
use crate::{Error, Result, sites};

/// Posteriors of the sequences at hand, sample-major as the workspace holds them.
pub(super) struct Posterior {
    mu: Vec<f32>,
    logvar: Vec<f32>,
}

/// A micro-batch of an apparatus, and what it needs.
pub(super) struct Scorer<'m, 'a> {
    on: Apparatus<'m>,
    config: &'a Config,
    fast: &'a FastConfig,
    stop: &'a AtomicBool,
    /// `[batch, T]`.
    tokens: Vec<i32>,
    /// `[batch, T]`.
    targets: Vec<i32>,
}

impl<'m, 'a> Scorer<'m, 'a> {
    pub(super) fn new(
        on: Apparatus<'m>,
        config: &'a Config,
        fast: &'a FastConfig,
        stop: &'a AtomicBool,
    ) -> Self {
        Self { on, config, fast, stop, tokens: Vec::new(), targets: Vec::new() }
    }

    /// Sequences and tokens of a micro-batch.
    pub(super) fn shape(&self) -> BatchShape {
        self.on.workspace.shape
    }

    /// Reads up to a micro-batch of windows of `whole` tokens, and cuts each to the length of the
    /// apparatus. The rest of the batch repeats the last sequence, as programs have a fixed shape.
    pub(super) fn read(
        &mut self,
        source: &dyn Sequences,
        windows: &[u64],
        whole: usize,
    ) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let BatchShape { batch, seq } = self.shape();
        source.read(windows, &mut self.tokens, &mut self.targets)?;
        let expected = windows.len() * whole;
        for values in [&mut self.tokens, &mut self.targets] {
            if values.len() != expected {
                return Err(EvaluateError::Length {
                    found: values.len(),
                    windows: windows.len(),
                    expected,
                    seq: whole,
                }
                .into());
            }
            for window in 0..windows.len() {
                values.copy_within(window * whole..window * whole + seq, window * seq);
            }
            values.truncate(windows.len() * seq);
            for _ in windows.len()..batch {
                values.extend_from_within((windows.len() - 1) * seq..windows.len() * seq);
            }
        }
        Ok(())
    }

    /// Targets of one sequence of what was read; negative ones are not scored.
    pub(super) fn targets(&self, sequence: usize) -> &[i32] {
        let seq = self.shape().seq;
        &self.targets[sequence * seq..(sequence + 1) * seq]
    }

    /// Random numbers of what was read, its first sequence being number `first`.
    fn draw(&self, first: u32, iteration: u32) -> Draw {
        Draw {
            seed: self.config.train.seed,
            iteration,
            first_sample: first,
            site_offset: sites::VALIDATION_OFFSET,
        }
    }

    /// Fits the posteriors of what was read to its first `seen` targets, and leaves z at the noise
    /// that the fast loop used, with all targets shown.
    pub(super) fn fit(&mut self, first: u32, seen: usize) -> Result<()> {
        self.load(seen)?;
        let draw = self.draw(first, 0);
        draw_start(&mut *self.on.device, self.on.workspace, &self.config.posterior, draw)?;
        self.infer()?;
        self.load(self.shape().seq)
    }

    /// Loads what was read; the targets from `seen` on are hidden, and have no influence on z.
    pub(super) fn load(&mut self, seen: usize) -> Result<()> {
        let mut visible = self.targets.clone();
        for sequence in visible.chunks_exact_mut(self.shape().seq) {
            sequence[seen..].fill(-1);
        }
        let Apparatus { device, workspace, .. } = &mut self.on;
        Ok(workspace.load(&mut **device, &self.tokens, &visible)?)
    }

    /// The fast loop from the mu, logvar and eps of the workspace.
    pub(super) fn infer(&mut self) -> Result<()> {
        let Apparatus { device, passes, workspace } = &mut self.on;
        let (fast, none) = (self.fast, WeightGradients::None);
        infer(&mut **device, passes, workspace, fast, fast.lr, none, self.stop)
    }

    /// Prepares what was read for a z that is not fitted: computes what does not depend on z.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.load(self.shape().seq)?;
        let Apparatus { device, passes, .. } = &mut self.on;
        Ok(passes.prefix.run(Segment::Forward, &mut **device)?)
    }

    /// `[batch, T]` nats of every shown target at the z at hand.
    pub(super) fn token_nll(&mut self) -> Result<Vec<f32>> {
        let Apparatus { device, passes, workspace } = &mut self.on;
        passes.score.run(Segment::All, &mut **device)?;
        Ok(device.read(&workspace.token_nll)?)
    }

    /// `[batch]` nats of KL of the fitted posteriors from the prior.
    pub(super) fn kl(&mut self) -> Result<Vec<f64>> {
        Ok(self.on.workspace.sequence_kl(&mut *self.on.device)?)
    }

    /// What the fast loop saw before each of its steps.
    pub(super) fn trace(&mut self) -> Result<FastTrace> {
        let Apparatus { device, workspace, .. } = &mut self.on;
        Ok(workspace.read_trace(&mut **device, self.fast.steps)?)
    }

    /// The apparatus, between two calls.
    pub(super) fn on(&mut self) -> &mut Apparatus<'m> {
        &mut self.on
    }

    /// The fitted posteriors.
    pub(super) fn posterior(&mut self) -> Result<Posterior> {
        let Apparatus { device, workspace, .. } = &mut self.on;
        Ok(Posterior { mu: device.read(&workspace.mu)?, logvar: device.read(&workspace.logvar)? })
    }

    /// Replaces z by draw `k` from the prior.
    pub(super) fn draw_prior(&mut self, first: u32, k: usize) -> Result<()> {
        if self.on.workspace.gaussian.is_empty() {
            return Ok(());
        }
        let draw = self.draw(first, k as u32);
        draw_prior(&mut *self.on.device, self.on.workspace, draw)
    }

    /// Whether what was fitted is a point, of which there is but one draw.
    pub(super) fn is_point(&self) -> bool {
        self.fast.method.is_point()
    }

    /// Replaces z by draw `k` from the fitted posteriors, leaves it where it is a point. Its noise is
    /// not that of the fast loop, which has adapted mu to its own: a mean over these draws estimates
    /// the bound without bias.
    pub(super) fn draw_posterior(&mut self, first: u32, k: usize) -> Result<()> {
        // Iteration 0 of this site is the noise of the fast loop.
        let draw = self.draw(first, k as u32 + 1);
        let point = self.is_point();
        let Apparatus { device, workspace, .. } = &mut self.on;
        if point || workspace.gaussian.is_empty() {
            return Ok(());
        }
        device.normal(&Normal {
            out: &workspace.eps,
            seed: draw.seed,
            site: sites::EPS + draw.site_offset,
            iteration: draw.iteration,
            first_sample: draw.first_sample,
            samples: workspace.shape.batch,
            per_sample: workspace.gaussian.per_sample(),
            mean: 0.0,
            std: 1.0,
        })?;
        self.reparameterise()
    }

    /// Replaces z by the means of the fitted posteriors.
    pub(super) fn take_mean(&mut self) -> Result<()> {
        let Apparatus { device, workspace, .. } = &mut self.on;
        if workspace.gaussian.is_empty() {
            return Ok(());
        }
        device.zero(&workspace.eps)?;
        self.reparameterise()
    }

    fn reparameterise(&mut self) -> Result<()> {
        let Apparatus { device, workspace, .. } = &mut self.on;
        Ok(device.gaussian_reparameterise(&GaussianReparameterise {
            mu: &workspace.mu,
            logvar: &workspace.logvar,
            eps: &workspace.eps,
            z: &workspace.z,
            shape: workspace.gaussian,
        })?)
    }

    /// `[batch]`: `log p(z) - log q(z|x)` at the last draw from the posteriors.
    pub(super) fn log_ratios(
        &mut self,
        posterior: &Posterior,
        prior: &HostPrior,
    ) -> Result<Vec<f64>> {
        let Apparatus { device, workspace, .. } = &mut self.on;
        let per_sample = workspace.gaussian.per_sample();
        if per_sample == 0 {
            return Ok(vec![0.0; workspace.shape.batch]);
        }
        let eps: Vec<f32> = device.read(&workspace.eps)?;
        let parts = posterior.mu.chunks_exact(per_sample);
        let parts = parts.zip(posterior.logvar.chunks_exact(per_sample));
        let parts = parts.zip(eps.chunks_exact(per_sample));
        Ok(parts.map(|((mu, logvar), eps)| log_ratio(prior, mu, logvar, eps)).collect())
    }
}
