//! What sequences cost under one view, and the two ways to average it.

use std::f64::consts::LN_2;

use super::EvaluateError;

/// What several draws from a posterior that has seen everything are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weighted {
    /// Nats of all tokens, mean over fresh draws from the posterior. The fast loop keeps one draw of
    /// noise and adapts the mean to it, so at that noise nll is too small.
    pub fresh_nll: f64,
    /// Nats: the importance-weighted bound on `-log p(x)`.
    pub importance: f64,
}

/// One sequence under one view.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceFigures {
    /// Number of its window.
    pub window: u64,
    /// Nats of each scored token, in order: at the z of the fast loop for [`super::View::All`], and
    /// of the mixture of all draws for causal views.
    pub token_nll: Vec<f64>,
    /// Bytes of the scored tokens.
    pub bytes: usize,
    /// Nats of KL of the posterior from the prior, `-log p(z)` where z is a point; 0 for causal
    /// views, which send no z.
    pub kl: f64,
    /// Tokens that were the most probable ones at the posterior mean; absent for causal views.
    pub correct: Option<usize>,
    /// Absent for causal views, and where z is a point.
    pub weighted: Option<Weighted>,
}

impl SequenceFigures {
    pub(super) fn unscored(window: u64) -> Self {
        Self { window, token_nll: Vec::new(), bytes: 0, kl: 0.0, correct: None, weighted: None }
    }

    /// Adds a scored token.
    pub(super) fn push(&mut self, nll: f64, target: i32, token_bytes: &[usize]) {
        self.token_nll.push(nll);
        self.bytes += token_bytes.get(target as usize).copied().unwrap_or(0);
    }

    /// Scored tokens.
    pub fn tokens(&self) -> usize {
        self.token_nll.len()
    }

    /// Nats of all scored tokens.
    pub fn nll(&self) -> f64 {
        self.token_nll.iter().sum()
    }

    /// `(nll + kl) / T`, nats per token.
    pub fn bound(&self) -> f64 {
        (self.nll() + self.kl) / self.tokens() as f64
    }

    pub(super) fn check(&self) -> Result<(), EvaluateError> {
        let weighted = self.weighted.unwrap_or_default();
        let parts = [
            ("nll", self.nll()),
            ("KL", self.kl),
            ("nll at fresh draws of z", weighted.fresh_nll),
            ("importance-weighted bound", weighted.importance),
        ];
        match parts.into_iter().find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((what, value)) => {
                Err(EvaluateError::NotFinite { window: self.window, what, value })
            }
        }
    }
}

/// Figures of a set under one view. All but the mean perplexity are sums over all sequences divided
/// by all scored tokens, in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Averages {
    /// Sequences with a scored token.
    pub sequences: usize,
    /// Scored tokens.
    pub tokens: usize,
    /// Bytes of text of the scored tokens.
    pub bytes: usize,
    /// `-log p` of the tokens given z, or of the mixture of draws for causal views.
    pub nll: f64,
    /// KL of the posterior from the prior; absent for causal views.
    pub kl: Option<f64>,
    /// `nll + kl`: a bound on `-log p(x)`. Equal to `nll` for causal views.
    pub bound: f64,
    /// Standard error of the bound over the choice of sequences; absent for a single one.
    pub bound_error: Option<f64>,
    /// The bound with nll at fresh draws of z; absent for causal views.
    pub fresh_bound: Option<f64>,
    /// The importance-weighted bound; absent for causal views.
    pub importance_bound: Option<f64>,
    /// Mean over sequences of `exp(bound of the sequence)`, as the released code averages it.
    pub mean_perplexity: f64,
    /// `exp(bound)`.
    pub corpus_perplexity: f64,
    /// Bits of the bound per byte of text; absent if the tokens have no bytes.
    pub bits_per_byte: Option<f64>,
    /// Share of tokens that are the most probable ones at the posterior mean; absent for causal
    /// views.
    pub accuracy: Option<f64>,
}

impl Averages {
    /// Of sequences that have a scored token each.
    pub fn of(sequences: &[SequenceFigures]) -> Self {
        let sum =
            |figure: &dyn Fn(&SequenceFigures) -> f64| sequences.iter().map(figure).sum::<f64>();
        let tokens: usize = sequences.iter().map(SequenceFigures::tokens).sum();
        let bytes: usize = sequences.iter().map(|s| s.bytes).sum();
        let per_token = |nats: f64| nats / tokens as f64;
        let (nll, kl) = (per_token(sum(&|s| s.nll())), per_token(sum(&|s| s.kl)));
        let weighted: Option<Vec<Weighted>> = sequences.iter().map(|s| s.weighted).collect();
        let correct: Option<usize> = sequences.iter().map(|s| s.correct).sum();
        let total = |figure: &dyn Fn(&Weighted) -> f64| {
            weighted.as_ref().map(|all| per_token(all.iter().map(figure).sum()))
        };
        let bound = nll + kl;
        Self {
            sequences: sequences.len(),
            tokens,
            bytes,
            nll,
            kl: correct.map(|_| kl),
            bound,
            bound_error: standard_error(sequences, bound),
            fresh_bound: total(&|w| w.fresh_nll).map(|fresh| fresh + kl),
            importance_bound: total(&|w| w.importance),
            mean_perplexity: sum(&|s| s.bound().exp()) / sequences.len() as f64,
            corpus_perplexity: bound.exp(),
            bits_per_byte: (bytes > 0).then(|| bound * tokens as f64 / LN_2 / bytes as f64),
            accuracy: correct.map(|correct| per_token(correct as f64)),
        }
    }
}

/// Standard error of `ratio`, the sum of the sequences' nats over that of their tokens, from how far
/// each sequence is off it.
fn standard_error(sequences: &[SequenceFigures], ratio: f64) -> Option<f64> {
    let count = sequences.len() as f64;
    let tokens: usize = sequences.iter().map(SequenceFigures::tokens).sum();
    let off = |s: &SequenceFigures| s.tokens() as f64 * (s.bound() - ratio);
    let squares: f64 = sequences.iter().map(|s| off(s).powi(2)).sum();
    (sequences.len() > 1).then(|| (squares * count / (count - 1.0)).sqrt() / tokens as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(
        token_nll: &[f64],
        kl: f64,
        posterior: Option<(Weighted, usize)>,
    ) -> SequenceFigures {
        let (weighted, correct) = posterior.unzip();
        let token_nll = token_nll.to_vec();
        SequenceFigures { window: 0, token_nll, bytes: 4, kl, correct, weighted }
    }

    #[test]
    fn averages_are_what_their_names_say() {
        let weighted =
            |fresh_nll, importance, correct| Some((Weighted { fresh_nll, importance }, correct));
        let found = Averages::of(&[
            sequence(&[1.0, 2.0], 1.0, weighted(3.5, 3.0, 1)),
            sequence(&[1.0, 0.5, 1.5, 1.0], 2.0, weighted(4.5, 5.0, 3)),
        ]);
        assert_eq!((found.sequences, found.tokens, found.bytes), (2, 6, 8));
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} against {b}");
        close(found.nll, 7.0 / 6.0);
        close(found.kl.unwrap(), 0.5);
        close(found.bound, 10.0 / 6.0);
        close(found.fresh_bound.unwrap(), 11.0 / 6.0);
        close(found.importance_bound.unwrap(), 8.0 / 6.0);
        close(found.mean_perplexity, (2.0_f64.exp() + 1.5_f64.exp()) / 2.0);
        close(found.corpus_perplexity, (10.0_f64 / 6.0).exp());
        close(found.bits_per_byte.unwrap(), 10.0 / LN_2 / 8.0);
        close(found.accuracy.unwrap(), 4.0 / 6.0);
    }

    /// For sequences of one length it is the deviation of their means over the root of their number.
    #[test]
    fn the_error_is_that_of_a_mean() {
        let sequences = [1.0, 2.0, 4.0, 5.0].map(|nll| sequence(&[nll, nll], 0.0, None));
        let found = Averages::of(&sequences).bound_error.unwrap();
        let deviation = ((4.0 + 1.0 + 1.0 + 4.0) / 3.0_f64).sqrt();
        assert!((found - deviation / 2.0).abs() < 1e-12, "{found}");
    }

    #[test]
    fn causal_figures_have_no_parts() {
        let found = Averages::of(&[sequence(&[1.0, 2.0], 0.0, None)]);
        assert_eq!((found.nll, found.bound, found.bound_error), (1.5, 1.5, None));
        assert_eq!((found.kl, found.fresh_bound, found.accuracy), (None, None, None));
        // A point has a price, and nothing to be drawn.
        let point = SequenceFigures { correct: Some(1), ..sequence(&[1.0, 2.0], 4.0, None) };
        let found = Averages::of(&[point]);
        assert_eq!((found.kl, found.bound, found.accuracy), (Some(2.0), 3.5, Some(0.5)));
        assert_eq!(found.importance_bound, None);
    }
}
