//! Scores at a z that has seen everything: the reconstruction, the price of z, and what the
//! importance-weighted bound makes of several draws.

use super::mixture::log_mean_exp;
use super::reconstruction::Reconstruction;
use super::scorer::Scorer;
use super::{Evaluator, Measurement, Portion, SequenceFigures, Subject, Weighted};
use crate::Result;
use crate::config::FastConfig;
use crate::posterior::prior::HostPrior;

/// Scores every window of a portion, the first of which has the random numbers of sequence `first`.
pub(super) fn score_posteriors(
    evaluator: &mut Evaluator,
    subject: &mut Subject<'_>,
    portion: &Portion<'_>,
    (how, fast): (&Measurement<'_>, &FastConfig),
    first: u32,
    advance: &mut dyn FnMut(usize),
) -> Result<Vec<SequenceFigures>> {
    let (config, parameters) = (subject.config, subject.parameters);
    let on = evaluator.on(subject.device);
    let mut reconstruction =
        Reconstruction::new(&mut *on.device, config, parameters, on.workspace)?;
    let batch = on.workspace.shape.batch;
    let prior = HostPrior::read(&mut *on.device, parameters, on.workspace.gaussian.per_sample())?;
    let mut scorer = Scorer::new(on, config, fast, how.stop);
    let mut all = Vec::with_capacity(portion.windows.len());
    for windows in portion.windows.chunks(batch) {
        let first = first + all.len() as u32;
        scorer.read(&*portion.source, windows, portion.seq)?;
        scorer.fit(first, portion.seq)?;
        let figures = score_batch(&mut scorer, (&mut reconstruction, &prior), windows, how, first)?;
        all.extend(figures);
        advance(windows.len());
    }
    Ok(all)
}

fn score_batch(
    scorer: &mut Scorer<'_, '_>,
    (reconstruction, prior): (&mut Reconstruction, &HostPrior),
    windows: &[u64],
    how: &Measurement<'_>,
    first: u32,
) -> Result<Vec<SequenceFigures>> {
    let seq = scorer.shape().seq;
    let (nll, kl) = (scorer.token_nll()?, scorer.kl()?);
    let weighted = match scorer.is_point() {
        true => None,
        false => Some(weigh(scorer, prior, how, first)?),
    };
    scorer.take_mean()?;
    let guesses = reconstruction.guess(&mut *scorer.on().device)?;
    let mut all = Vec::with_capacity(windows.len());
    for (place, &window) in windows.iter().enumerate() {
        let mut figures = SequenceFigures::unscored(window);
        let targets = scorer.targets(place);
        for (at, &target) in targets.iter().enumerate().filter(|(_, target)| **target >= 0) {
            figures.push(f64::from(nll[place * seq + at]), target, how.token_bytes);
        }
        let pairs = targets.iter().zip(&guesses[place * seq..]);
        figures.kl = kl[place];
        figures.correct = Some(pairs.filter(|(target, guess)| target == guess).count());
        figures.weighted = weighted.as_ref().map(|weighted| weighted[place]);
        figures.check()?;
        all.push(figures);
    }
    Ok(all)
}

/// The bound at fresh draws from the posteriors, and the importance-weighted bound
/// `-log mean_k p(x|z_k) p(z_k) / q(z_k|x)` (Burda et al. 2016), which is at most the former in
/// expectation, and tends to `-log p(x)` as the draws become many.
fn weigh(
    scorer: &mut Scorer<'_, '_>,
    prior: &HostPrior,
    how: &Measurement<'_>,
    first: u32,
) -> Result<Vec<Weighted>> {
    let (posterior, seq) = (scorer.posterior()?, scorer.shape().seq);
    let mut log_weights = vec![Vec::with_capacity(how.samples); scorer.shape().batch];
    let mut fresh = vec![0.0; scorer.shape().batch];
    for k in 0..how.samples {
        scorer.draw_posterior(first, k)?;
        let nll = scorer.token_nll()?;
        let ratios = scorer.log_ratios(&posterior, prior)?;
        for (place, (nll, ratio)) in nll.chunks_exact(seq).zip(ratios).enumerate() {
            let nll = nll.iter().map(|&x| f64::from(x)).sum::<f64>();
            fresh[place] += nll / how.samples as f64;
            log_weights[place].push(ratio - nll);
        }
    }
    let weighted = log_weights.iter().zip(fresh).map(|(log_weights, fresh_nll)| Weighted {
        fresh_nll,
        importance: -log_mean_exp(log_weights),
    });
    Ok(weighted.collect())
}
