//! What a model makes of text it has not learned from: the posterior of each sequence is
//! inferred with the decoder held fixed, and the sequence is scored at the inferred z.
//!
//! nll and KL are always reported apart, for their sum alone says nothing of how much z knows: a
//! z that has seen the whole sequence can make its nll as small as it likes, at the price of its
//! KL. With [`Options::context`] z sees only the front of each sequence, and what it makes of
//! the rest is reported as the continuation, which is a prediction like any language model's.

mod apparatus;
mod error;
mod score;
mod source;
#[cfg(test)]
mod tests;

pub use apparatus::{Apparatus, Evaluator};
pub use error::EvaluateError;
pub use score::{Continuation, Curve, Evaluation, Figures, SequenceScore, Summary};
pub use source::Sequences;

use std::sync::atomic::AtomicBool;

use ltm_autograd::Segment;
use ltm_engine::DeviceExt;

use crate::config::{Config, FastConfig};
use crate::model::BatchShape;
use crate::posterior::{Draw, FastTrace, WeightGradients};
use crate::posterior::{draw_start, infer, inference_settings};
use crate::{Result, Trainer, sites};

/// How to evaluate.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Fast steps instead of those of the configuration; see [`inference_settings`].
    pub fast_steps: Option<usize>,
    /// Targets at the front of each sequence from which z is inferred; `None` takes all.
    pub context: Option<usize>,
    /// Gives up before the next fast step once this is set.
    pub stop: &'a AtomicBool,
    /// Told the number of finished sequences after each micro-batch.
    pub progress: &'a dyn Fn(usize),
}

/// [`evaluate`] in the memory of a trainer, between two iterations.
///
/// # Errors
/// As [`evaluate`].
pub fn validate(
    trainer: &mut Trainer,
    source: &dyn Sequences,
    windows: &[u64],
    options: &Options<'_>,
) -> Result<Evaluation> {
    let on = Apparatus {
        device: trainer.device.as_mut(),
        passes: &trainer.passes,
        workspace: &mut trainer.workspace,
    };
    evaluate(on, &trainer.config, source, windows, options)
}

/// Scores `windows` of `source`, sequences of the T of the apparatus.
///
/// The random start of a sequence is a function of `train.seed` and its place in `windows`: it
/// does not depend on the size of micro-batches or on how far training has come.
///
/// # Errors
/// [`EvaluateError`], [`crate::Error::Interrupted`], or a source or device that fails.
pub fn evaluate(
    on: Apparatus<'_>,
    config: &Config,
    source: &dyn Sequences,
    windows: &[u64],
    options: &Options<'_>,
) -> Result<Evaluation> {
    let BatchShape { batch, seq } = on.workspace.shape;
    if windows.is_empty() || batch == 0 {
        return Err(EvaluateError::NoSequences.into());
    }
    if let Some(context) = options.context
        && !(1..seq).contains(&context)
    {
        return Err(EvaluateError::Context { context, seq }.into());
    }
    let fast = inference_settings(config, options.fast_steps);
    let mut sequences = Vec::with_capacity(windows.len());
    let mut curve = Curve { nll: vec![0.0; fast.steps], kl: vec![0.0; fast.steps] };
    let mut run = Run { on, config, fast, options, tokens: Vec::new(), targets: Vec::new() };
    for windows in windows.chunks(batch) {
        run.read(source, windows)?;
        let trace = run.infer(sequences.len() as u32)?;
        run.score(windows, &mut sequences)?;
        add(&mut curve.nll, &trace.nll, windows.len());
        add(&mut curve.kl, &trace.kl, windows.len());
        (options.progress)(sequences.len());
    }
    let summary = Summary::of(&sequences);
    for total in curve.nll.iter_mut().chain(&mut curve.kl) {
        *total /= summary.tokens as f64;
    }
    Ok(Evaluation {
        fast_steps: run.fast.steps,
        context: options.context,
        summary,
        curve,
        sequences,
    })
}

/// Adds the first `count` sequences of each fast step.
fn add(totals: &mut [f64], steps: &[Vec<f64>], count: usize) {
    for (total, step) in totals.iter_mut().zip(steps) {
        *total += step.iter().take(count).sum::<f64>();
    }
}

struct Run<'m, 'a> {
    on: Apparatus<'m>,
    config: &'a Config,
    fast: FastConfig,
    options: &'a Options<'a>,
    /// `[batch, T]`.
    tokens: Vec<i32>,
    /// `[batch, T]`.
    targets: Vec<i32>,
}

impl Run<'_, '_> {
    /// Reads up to a micro-batch; the rest of it repeats the last sequence, as programs have a
    /// fixed shape.
    fn read(&mut self, source: &dyn Sequences, windows: &[u64]) -> Result<()> {
        let BatchShape { batch, seq } = self.on.workspace.shape;
        source.read(windows, &mut self.tokens, &mut self.targets)?;
        let expected = windows.len() * seq;
        for values in [&mut self.tokens, &mut self.targets] {
            if values.len() != expected {
                return Err(EvaluateError::Length {
                    found: values.len(),
                    windows: windows.len(),
                    expected,
                    seq,
                }
                .into());
            }
            for _ in windows.len()..batch {
                values.extend_from_within(expected - seq..expected);
            }
        }
        Ok(())
    }

    /// Tokens of a sequence that z may see.
    fn seen(&self) -> usize {
        self.options.context.unwrap_or(self.on.workspace.shape.seq)
    }

    /// Infers the posteriors of what was read, the first of them sequence `first`.
    fn infer(&mut self, first: u32) -> Result<FastTrace> {
        let (seq, seen) = (self.on.workspace.shape.seq, self.seen());
        let mut visible = self.targets.clone();
        for sequence in visible.chunks_exact_mut(seq) {
            sequence[seen..].fill(-1);
        }
        let Apparatus { device, passes, workspace } = &mut self.on;
        workspace.load(&mut **device, &self.tokens, &visible)?;
        let draw = Draw {
            seed: self.config.train.seed,
            iteration: 0,
            first_sample: first,
            site_offset: sites::VALIDATION_OFFSET,
        };
        draw_start(&mut **device, workspace, &self.config.posterior, draw)?;
        infer(
            &mut **device,
            passes,
            workspace,
            &self.fast,
            self.fast.lr,
            WeightGradients::None,
            self.options.stop,
        )?;
        Ok(workspace.read_trace(&mut **device, self.fast.steps)?)
    }

    /// Scores every target at the inferred z.
    fn score(&mut self, windows: &[u64], scores: &mut Vec<SequenceScore>) -> Result<()> {
        let (seq, seen) = (self.on.workspace.shape.seq, self.seen());
        let Apparatus { device, passes, workspace } = &mut self.on;
        workspace.load(&mut **device, &self.tokens, &self.targets)?;
        passes.score.run(Segment::All, &mut **device)?;
        let kl = workspace.sequence_kl(&mut **device)?;
        let nll: Vec<f32> = device.read(&workspace.token_nll)?;
        let targets = self.targets.chunks_exact(seq);
        let sequences = nll.chunks_exact(seq).zip(targets).zip(kl);
        for (&window, ((nll, targets), kl)) in windows.iter().zip(sequences) {
            let sum = |nll: &[f32]| nll.iter().map(|&x| f64::from(x)).sum::<f64>();
            let count = |targets: &[i32]| targets.iter().filter(|&&t| t >= 0).count();
            let score = SequenceScore {
                window,
                tokens: count(&targets[..seen]),
                nll: sum(&nll[..seen]),
                kl,
                unseen_tokens: count(&targets[seen..]),
                unseen_nll: sum(&nll[seen..]),
            };
            check(&score)?;
            scores.push(score);
        }
        Ok(())
    }
}

fn check(score: &SequenceScore) -> Result<()> {
    let window = score.window;
    if score.tokens == 0 {
        return Err(EvaluateError::NoTargets { window }.into());
    }
    let parts =
        [("nll", score.nll), ("KL", score.kl), ("nll of the continuation", score.unseen_nll)];
    match parts.into_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((what, value)) => Err(EvaluateError::NotFinite { window, what, value }.into()),
    }
}
