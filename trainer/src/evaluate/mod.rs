//! What a model makes of text it has not learned from: the posterior of each sequence is
//! inferred with the decoder held fixed, and the sequence is scored at the inferred z.
//!
//! nll and KL are always reported apart, for their sum alone says nothing of how much z knows: a
//! z that has seen the whole sequence can make its nll as small as it likes, at the price of its
//! KL.
//!
//! [`measure`] gives the figures of a table: those of the posterior with the importance-weighted
//! bound, and the causal ones, each with the [`View`] that says what z had seen.

mod apparatus;
mod causal;
mod density;
mod error;
mod figures;
mod measure;
mod mixture;
mod posterior;
mod reconstruction;
mod score;
mod scorer;
mod source;
#[cfg(test)]
mod tests;
mod text_set;
mod view;

pub use apparatus::{Apparatus, Evaluator};
pub use error::EvaluateError;
pub use figures::{Averages, SequenceFigures, Weighted};
pub use measure::{Measured, Measurement, Subject, measure};
pub use mixture::log_mean_exp;
pub(crate) use reconstruction::Reconstruction;
pub use score::{Curve, Evaluation, Figures, SequenceScore, Summary};
pub use source::{Portion, Sequences};
pub use text_set::{Cut, TextOptions, TextSet, token_bytes};
pub use view::View;

use std::sync::atomic::AtomicBool;

use crate::config::Config;
use crate::model::BatchShape;
use crate::posterior::inference_settings;
use crate::{Result, Trainer};
use scorer::Scorer;

/// How to evaluate.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Fast steps instead of those of the configuration; see [`inference_settings`].
    pub fast_steps: Option<usize>,
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
    let fast = inference_settings(config, options.fast_steps);
    let mut sequences = Vec::with_capacity(windows.len());
    let mut curve = Curve { nll: vec![0.0; fast.steps], kl: vec![0.0; fast.steps] };
    let mut scorer = Scorer::new(on, config, &fast, options.stop);
    for windows in windows.chunks(batch) {
        scorer.read(source, windows, seq)?;
        scorer.fit(sequences.len() as u32, seq)?;
        let trace = scorer.trace()?;
        score(&mut scorer, windows, &mut sequences)?;
        add(&mut curve.nll, &trace.nll, windows.len());
        add(&mut curve.kl, &trace.kl, windows.len());
        (options.progress)(sequences.len());
    }
    let summary = Summary::of(&sequences);
    for total in curve.nll.iter_mut().chain(&mut curve.kl) {
        *total /= summary.tokens as f64;
    }
    Ok(Evaluation { fast_steps: fast.steps, summary, curve, sequences })
}

/// Adds the first `count` sequences of each fast step.
fn add(totals: &mut [f64], steps: &[Vec<f64>], count: usize) {
    for (total, step) in totals.iter_mut().zip(steps) {
        *total += step.iter().take(count).sum::<f64>();
    }
}

/// Scores every target at the inferred z.
fn score(
    scorer: &mut Scorer<'_, '_>,
    windows: &[u64],
    scores: &mut Vec<SequenceScore>,
) -> Result<()> {
    let nll = scorer.token_nll()?;
    let nll = nll.chunks_exact(scorer.shape().seq);
    for (index, ((&window, nll), kl)) in windows.iter().zip(nll).zip(scorer.kl()?).enumerate() {
        let targets = scorer.targets(index);
        let score = SequenceScore {
            window,
            tokens: targets.iter().filter(|&&target| target >= 0).count(),
            nll: nll.iter().map(|&x| f64::from(x)).sum(),
            kl,
        };
        check(&score)?;
        scores.push(score);
    }
    Ok(())
}

fn check(score: &SequenceScore) -> Result<()> {
    let window = score.window;
    if score.tokens == 0 {
        return Err(EvaluateError::NoTargets { window }.into());
    }
    let parts = [("nll", score.nll), ("KL", score.kl)];
    match parts.into_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((what, value)) => Err(EvaluateError::NotFinite { window, what, value }.into()),
    }
}
