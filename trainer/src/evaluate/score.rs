//! Scores of sequences, and the two ways to average them.

use serde::Serialize;

/// Scores of one sequence at its inferred z.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SequenceScore {
    /// Number of its window.
    pub window: u64,
    /// Targets that z was inferred from; `nll` and `kl` are theirs.
    pub tokens: usize,
    /// Nats of those targets in all, at one z drawn from the posterior.
    pub nll: f64,
    /// Nats of KL from the prior in all.
    pub kl: f64,
}

impl SequenceScore {
    /// `(nll + kl) / T`, nats per token, at the draw of noise that the fast loop worked with. mu
    /// has adapted to that draw, so it is no bound on `-log p(x) / T`, as that at fresh draws
    /// ([`super::Averages::fresh_bound`]) is in expectation.
    pub fn bound(&self) -> f64 {
        (self.nll + self.kl) / self.tokens as f64
    }
}

/// One set of figures, nats per token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Reconstruction of the tokens that z has seen.
    pub nll: f64,
    /// KL of the posterior from the prior.
    pub kl: f64,
    /// `nll + kl`.
    pub bound: f64,
    /// Perplexity of the bound.
    pub perplexity: f64,
}

/// Averages over the sequences of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Sequences.
    pub sequences: usize,
    /// Targets that z has seen, in all.
    pub tokens: usize,
    /// Means over sequences of their figures per token, each sequence with the same weight. The
    /// perplexity is the mean of `exp((nll + kl) / T)`, as the published figures are.
    pub per_sequence: Figures,
    /// Sums over all sequences divided by all tokens; the perplexity is `exp` of the bound.
    pub corpus: Figures,
}

impl Summary {
    /// The averages of at least one sequence; every one has at least one token.
    pub fn of(scores: &[SequenceScore]) -> Self {
        let sum = |f: &dyn Fn(&SequenceScore) -> f64| scores.iter().map(f).sum::<f64>();
        let count = scores.len() as f64;
        let mean = |f: &dyn Fn(&SequenceScore) -> f64| sum(f) / count;
        let tokens: usize = scores.iter().map(|s| s.tokens).sum();
        let (nll, kl) = (sum(&|s| s.nll) / tokens as f64, sum(&|s| s.kl) / tokens as f64);
        Self {
            sequences: scores.len(),
            tokens,
            per_sequence: Figures {
                nll: mean(&|s| s.nll / s.tokens as f64),
                kl: mean(&|s| s.kl / s.tokens as f64),
                bound: mean(&SequenceScore::bound),
                perplexity: mean(&|s| s.bound().exp()),
            },
            corpus: Figures { nll, kl, bound: nll + kl, perplexity: (nll + kl).exp() },
        }
    }
}

/// Means over all tokens before each fast step, nats per token.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curve {
    /// `[steps]`.
    pub nll: Vec<f64>,
    /// `[steps]`.
    pub kl: Vec<f64>,
}

/// Result of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Fast steps of each sequence.
    pub fast_steps: usize,
    /// Averages.
    pub summary: Summary,
    /// The fast loop.
    pub curve: Curve,
    /// Each sequence, in the order asked for.
    pub sequences: Vec<SequenceScore>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(tokens: usize, nll: f64, kl: f64) -> SequenceScore {
        SequenceScore { window: 0, tokens, nll, kl }
    }

    #[test]
    fn sequences_of_different_lengths_weigh_as_the_definitions_say() {
        let summary = Summary::of(&[score(10, 20.0, 5.0), score(30, 30.0, 3.0)]);
        let close = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-12);
        close(summary.per_sequence.nll, (2.0 + 1.0) / 2.0);
        close(summary.per_sequence.kl, (0.5 + 0.1) / 2.0);
        close(summary.per_sequence.bound, (2.5 + 1.1) / 2.0);
        let perplexity = (2.5_f64.exp() + 1.1_f64.exp()) / 2.0;
        close(summary.per_sequence.perplexity, perplexity);
        close(summary.corpus.nll, 50.0 / 40.0);
        close(summary.corpus.kl, 8.0 / 40.0);
        close(summary.corpus.bound, 58.0 / 40.0);
        close(summary.corpus.perplexity, (58.0_f64 / 40.0).exp());
        assert_eq!((summary.sequences, summary.tokens), (2, 40));
    }
}
