//! Causal scores: what a token costs given nothing but the tokens before it.

use super::mixture::Mixture;
use super::scorer::Scorer;
use super::view::Stretch;
use super::{Apparatus, Measurement, Portion, SequenceFigures};
use crate::Result;
use crate::config::{Config, FastConfig};

/// Draws of z that a stretch is scored with; a fitted point is one.
pub(super) fn draws_of(stretch: Stretch, config: &Config, how: &Measurement<'_>) -> usize {
    match stretch.from > 0 && config.fast.method.is_point() {
        true => 1,
        false => how.samples,
    }
}

/// Scores one stretch of every window of a portion, the first of which has the random numbers of
/// sequence `first`; `figures` has a place for each. The apparatus is as long as the stretch
/// reaches: it never holds what comes after.
///
/// K draws of z, from the prior or from the posterior of the targets before the stretch, make one
/// language model as their equal [`Mixture`].
pub(super) fn score_stretch(
    on: Apparatus<'_>,
    config: &Config,
    (portion, stretch, first): (&Portion<'_>, Stretch, u32),
    (how, fast): (&Measurement<'_>, &FastConfig),
    figures: &mut [SequenceFigures],
    advance: &mut dyn FnMut(usize),
) -> Result<()> {
    let batch = on.workspace.shape.batch;
    let mut scorer = Scorer::new(on, config, fast, how.stop);
    let seq = scorer.shape().seq;
    let chunks = portion.windows.chunks(batch).zip(figures.chunks_mut(batch));
    for (index, (windows, figures)) in chunks.enumerate() {
        let first = first + (index * batch) as u32;
        scorer.read(&*portion.source, windows, portion.seq)?;
        match stretch.from {
            0 => scorer.begin()?,
            seen => scorer.fit(first, seen)?,
        }
        let samples = draws_of(stretch, config, how);
        let mut draws = Vec::with_capacity(samples);
        for k in 0..samples {
            match stretch.from {
                0 => scorer.draw_prior(first, k)?,
                _ => scorer.draw_posterior(first, k)?,
            }
            draws.push(scorer.token_nll()?);
        }
        for (place, figures) in figures.iter_mut().enumerate() {
            let mut mixture = Mixture::new(samples);
            for at in stretch.from..stretch.to {
                let target = scorer.targets(place)[at];
                if target < 0 {
                    continue;
                }
                let nll = mixture.push(draws.iter().map(|draw| f64::from(draw[place * seq + at])));
                if at >= how.view.skipped() {
                    figures.push(nll, target, how.token_bytes);
                }
            }
            figures.check()?;
        }
        advance(windows.len());
    }
    Ok(())
}
