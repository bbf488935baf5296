//! The figures of one row of a table: sequences under one view.

use std::sync::atomic::AtomicBool;

use ltm_engine::Device;

use super::causal::{draws_of, score_stretch};
use super::posterior::score_posteriors;
use super::{EvaluateError, Evaluator, Portion, SequenceFigures, View};
use crate::Result;
use crate::config::{Config, FastConfig};
use crate::model::{BatchShape, Parameters};
use crate::plan::Inference;
use crate::posterior::inference_settings;

/// What to measure, and how.
#[derive(Clone, Copy)]
pub struct Measurement<'a> {
    /// What z has seen.
    pub view: View,
    /// Fast steps instead of those of the configuration; see [`inference_settings`].
    pub fast_steps: Option<usize>,
    /// Draws of z, at least 1: from the prior or posterior of a causal view, whose predictions are
    /// averaged; from the posterior of [`View::All`], for the importance-weighted bound.
    pub samples: usize,
    /// Sequences at once; changes memory and speed, and the result by rounding at most.
    pub batch: usize,
    /// Bytes of text that each token id stands for.
    pub token_bytes: &'a [usize],
    /// Gives up before the next fast step or draw once this is set.
    pub stop: &'a AtomicBool,
    /// Told how much is done, and of how much.
    pub progress: &'a dyn Fn(usize, usize),
}

/// A frozen model on its device.
pub struct Subject<'a> {
    /// The device.
    pub device: &'a mut dyn Device,
    /// Settings of the run.
    pub config: &'a Config,
    /// Weights.
    pub parameters: &'a Parameters,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Fast steps of each fit; 0 where nothing is fitted.
    pub fast_steps: usize,
    /// Most draws of z of each sequence; 1 where there are no latents to draw, or fitted ones are
    /// points.
    pub samples: usize,
    /// Sequences that had a token to score, in the order asked for.
    pub sequences: Vec<SequenceFigures>,
    /// FLOPs of fitting z and of the passes that a figure takes, over all sequences, paddings
    /// counted. The reconstruction takes one pass; what its weighted bound takes beside is left
    /// out.
    pub flops: f64,
}

/// Scores the windows of `portions`.
///
/// The random numbers of a sequence are a function of `train.seed` and its place among all windows:
/// they do not depend on the size of micro-batches, nor on how far training has come. The draws of
/// z are not those of the fast loop, nor of [`super::evaluate`].
///
/// # Errors
/// [`EvaluateError`], [`crate::Error::Interrupted`], or a source or device that fails.
pub fn measure(
    subject: &mut Subject<'_>,
    portions: &[Portion<'_>],
    how: &Measurement<'_>,
) -> Result<Measured> {
    let longest = portions.iter().map(|portion| portion.seq).max().unwrap_or(0);
    if how.samples == 0 {
        return Err(EvaluateError::NoSamples.into());
    }
    if how.batch == 0 || portions.iter().all(|portion| portion.windows.is_empty()) {
        return Err(EvaluateError::NoSequences.into());
    }
    match how.view {
        View::Blocks(block) if block >= longest => {}
        view => view.check(longest)?,
    }
    let one = subject.config.model.is_autoregressive()
        || subject.config.fast.method.is_point() && matches!(how.view, View::All | View::Front(_));
    let samples = if one { 1 } else { how.samples };
    let how = &Measurement { samples, ..*how };
    let fast = inference_settings(subject.config, how.fast_steps);
    let stretches = |seq: usize| how.view.stretches(seq).len().max(1);
    let total = portions.iter().map(|p| p.windows.len() * stretches(p.seq)).sum();
    let mut work = Work { how, fast: &fast, done: 0, total };
    let (mut sequences, mut flops, mut first) = (Vec::new(), 0.0, 0);
    for portion in portions {
        if portion.windows.is_empty() {
            continue;
        }
        let (figures, cost) = match how.view {
            View::All => work.reconstruct(subject, portion, first)?,
            _ => work.predict(subject, portion, first)?,
        };
        sequences.extend(figures.into_iter().filter(|figures| figures.tokens() > 0));
        flops += cost;
        first += portion.windows.len() as u32;
    }
    if sequences.is_empty() {
        return Err(EvaluateError::NothingToScore { view: how.view }.into());
    }
    let fits = how.view.fits() && subject.config.model.latents > 0;
    Ok(Measured { fast_steps: if fits { fast.steps } else { 0 }, samples, sequences, flops })
}

/// How far a measurement has come.
struct Work<'a> {
    how: &'a Measurement<'a>,
    fast: &'a FastConfig,
    done: usize,
    total: usize,
}

impl Work<'_> {
    fn advance(&mut self, windows: usize) {
        self.done += windows;
        (self.how.progress)(self.done, self.total);
    }

    fn evaluator(
        &self,
        subject: &mut Subject<'_>,
        portion: &Portion<'_>,
        seq: usize,
    ) -> Result<Evaluator> {
        let shape = BatchShape { batch: self.how.batch.min(portion.windows.len()), seq };
        Evaluator::new(subject.device, subject.config, subject.parameters, shape)
    }

    /// FLOPs of `windows` sequences of `seq` tokens, fitted and then scored `passes` times.
    fn flops(
        &self,
        subject: &Subject<'_>,
        (windows, seq): (usize, usize),
        fitted: bool,
        passes: usize,
    ) -> f64 {
        let model = &subject.config.model;
        let cost = Inference::of(model, BatchShape { batch: windows, seq });
        let steps = if fitted && model.latents > 0 { self.fast.steps } else { 0 };
        cost.prefix + steps as f64 * cost.fast_step + passes as f64 * cost.score
    }

    /// The view of a z that has seen everything.
    fn reconstruct(
        &mut self,
        subject: &mut Subject<'_>,
        portion: &Portion<'_>,
        first: u32,
    ) -> Result<(Vec<SequenceFigures>, f64)> {
        let mut evaluator = self.evaluator(subject, portion, portion.seq)?;
        let (how, fast) = (self.how, self.fast);
        let advance = &mut |windows| self.advance(windows);
        let figures =
            score_posteriors(&mut evaluator, subject, portion, (how, fast), first, advance)?;
        let extent = (portion.windows.len(), portion.seq);
        Ok((figures, self.flops(subject, extent, true, 1)))
    }

    /// A causal view, one stretch of all windows after the other.
    fn predict(
        &mut self,
        subject: &mut Subject<'_>,
        portion: &Portion<'_>,
        first: u32,
    ) -> Result<(Vec<SequenceFigures>, f64)> {
        let mut figures: Vec<_> =
            portion.windows.iter().map(|&window| SequenceFigures::unscored(window)).collect();
        let mut flops = 0.0;
        for stretch in self.how.view.stretches(portion.seq) {
            let mut evaluator = self.evaluator(subject, portion, stretch.to)?;
            let (how, fast) = (self.how, self.fast);
            let advance = &mut |windows| self.advance(windows);
            let on = evaluator.on(subject.device);
            let scope = (portion, stretch, first);
            score_stretch(on, subject.config, scope, (how, fast), &mut figures, advance)?;
            let extent = (portion.windows.len(), stretch.to);
            let draws = draws_of(stretch, subject.config, how);
            flops += self.flops(subject, extent, stretch.from > 0, draws);
        }
        Ok((figures, flops))
    }
}
