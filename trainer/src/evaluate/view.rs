//! What z has seen of a text when its tokens are scored.

use super::EvaluateError;

/// What z knows when a token is scored. A figure means nothing without it: a z that has seen the
/// token can make its nll as small as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The whole sequence, the scored tokens included. nll is a reconstruction; only with the KL
    /// added it bounds `-log p(x)`.
    All,
    /// Nothing: z is drawn from the prior.
    Prior,
    /// As [`View::Prior`], with the first tokens of each sequence, so many, not scored: what
    /// [`View::Front`] is to be compared with.
    PriorAfter(usize),
    /// The first tokens of each sequence, so many; the others are scored.
    Front(usize),
    /// The blocks before that of the token, each of so many tokens; nothing in the first block.
    Blocks(usize),
}

/// Targets that are scored with one z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// First of them; z is fitted on those before it, or drawn from the prior if there is none.
    pub(super) from: usize,
    /// The first one beyond them; the model is not shown what follows.
    pub(super) to: usize,
}

impl View {
    /// Whether a token's score depends on nothing but the tokens before it.
    pub fn is_causal(self) -> bool {
        self != View::All
    }

    /// Whether posteriors are fitted.
    pub fn fits(self) -> bool {
        !matches!(self, View::Prior | View::PriorAfter(_))
    }

    /// In words, for every table.
    pub fn words(self) -> String {
        match self {
            View::All => "the whole sequence, the scored tokens included".to_owned(),
            View::Prior => "nothing: z from the prior".to_owned(),
            View::PriorAfter(n) => {
                format!("nothing: z from the prior; the first {n} tokens are not scored")
            }
            View::Front(n) => format!("the first {n} tokens, which are not scored"),
            View::Blocks(n) => {
                format!(
                    "the blocks of {n} tokens before the scored one; in the first block nothing"
                )
            }
        }
    }

    /// As [`View::words`], for a model without latents: which tokens are scored.
    pub fn words_without_latents(self) -> String {
        match self {
            View::Front(n) | View::PriorAfter(n) => {
                format!("no z in this model; the first {n} tokens are not scored")
            }
            _ => "no z in this model".to_owned(),
        }
    }

    /// Whether sequences of `seq` tokens leave something to see and something to score.
    ///
    /// # Errors
    /// [`EvaluateError::Context`] and [`EvaluateError::Block`].
    pub fn check(self, seq: usize) -> Result<(), EvaluateError> {
        match self {
            View::Front(context) | View::PriorAfter(context) if !(1..seq).contains(&context) => {
                Err(EvaluateError::Context { context, seq })
            }
            View::Blocks(block) if !(1..seq).contains(&block) => {
                Err(EvaluateError::Block { block, seq })
            }
            _ => Ok(()),
        }
    }

    /// Targets at the front of each sequence that are not scored.
    pub(super) fn skipped(self) -> usize {
        match self {
            View::Front(context) | View::PriorAfter(context) => context,
            _ => 0,
        }
    }

    /// The stretches of sequences of `seq` targets; none of [`View::All`], or where nothing is
    /// left to score.
    pub(super) fn stretches(self, seq: usize) -> Vec<Stretch> {
        match self {
            View::All => Vec::new(),
            View::Prior => vec![Stretch { from: 0, to: seq }],
            View::Front(context) | View::PriorAfter(context) if context >= seq => Vec::new(),
            View::PriorAfter(_) => vec![Stretch { from: 0, to: seq }],
            View::Front(context) => vec![Stretch { from: context, to: seq }],
            View::Blocks(block) => (0..seq)
                .step_by(block)
                .map(|from| Stretch { from, to: (from + block).min(seq) })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_cover_what_is_scored_once() {
        let pairs = |view: View, seq| -> Vec<_> {
            view.stretches(seq).into_iter().map(|s| (s.from, s.to)).collect()
        };
        assert_eq!(pairs(View::Prior, 5), [(0, 5)]);
        assert_eq!(pairs(View::PriorAfter(3), 5), [(0, 5)]);
        assert_eq!(pairs(View::PriorAfter(5), 5), []);
        assert_eq!(pairs(View::Front(3), 5), [(3, 5)]);
        assert_eq!(pairs(View::Front(5), 5), []);
        assert_eq!(pairs(View::Blocks(2), 5), [(0, 2), (2, 4), (4, 5)]);
        assert_eq!(pairs(View::Blocks(8), 5), [(0, 5)]);
        assert_eq!(pairs(View::All, 5), []);
    }

    #[test]
    fn a_view_needs_something_to_see_and_something_to_score() {
        assert!(View::Front(4).check(5).is_ok() && View::Blocks(4).check(5).is_ok());
        let wrong = [View::Front(0), View::Front(5), View::Blocks(0), View::Blocks(5)];
        for view in wrong.into_iter().chain([View::PriorAfter(5)]) {
            assert!(view.check(5).is_err(), "{view:?}");
        }
    }
}
