//! `samples.jsonl`: texts the model wrote, mostly at the start and at the end of a run.

use std::path::Path;

use serde::Deserialize;

use super::Error;
use super::jsonl::{self, Tail};

/// One text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Sample {
    pub(super) iteration: u64,
    /// Where the latents came from: `prior` or `posterior`.
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) prompt: String,
    #[serde(default)]
    pub(super) text: String,
}

/// The texts at the first and at the last iteration that has any.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Samples {
    pub(super) before: Option<u64>,
    pub(super) after: Option<u64>,
    pub(super) pairs: Vec<Pair>,
}

/// Two texts of the same kind from the same prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) kind: String,
    pub(super) prompt: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Samples {
    /// Reads the file; one that is missing gives no samples.
    pub(super) fn read(path: &Path) -> Result<(Self, Tail), Error> {
        let mut all: Vec<Sample> = Vec::new();
        let tail = jsonl::read(path, |sample| all.push(sample))?;
        Ok((Self::pair(all), tail))
    }

    fn pair(mut all: Vec<Sample>) -> Self {
        // A restarted run samples an iteration again; the later texts are the ones to show.
        let mut earliest_after = u64::MAX;
        let mut keep: Vec<bool> = all
            .iter()
            .rev()
            .map(|sample| {
                earliest_after = earliest_after.min(sample.iteration);
                sample.iteration <= earliest_after
            })
            .collect();
        keep.reverse();
        let mut keep = keep.into_iter();
        all.retain(|_| keep.next() == Some(true));

        let Some(last) = all.iter().map(|sample| sample.iteration).max() else {
            return Self::default();
        };
        let first = all.iter().map(|sample| sample.iteration).min();
        let before = first.filter(|&first| first < last);
        let mut pairs: Vec<Pair> = Vec::new();
        for sample in all {
            let is_after = sample.iteration == last;
            if !is_after && before != Some(sample.iteration) {
                continue;
            }
            // Several samples of one prompt are matched in their order.
            let open = pairs.iter_mut().find(|pair| {
                pair.kind == sample.kind
                    && pair.prompt == sample.prompt
                    && is_after
                    && pair.after.is_none()
            });
            match (open, is_after) {
                (Some(pair), _) => pair.after = Some(sample.text),
                (None, is_after) => {
                    let text = Some(sample.text);
                    let (before, after) = if is_after { (None, text) } else { (text, None) };
                    pairs.push(Pair { kind: sample.kind, prompt: sample.prompt, before, after });
                }
            }
        }
        Self { before, after: Some(last), pairs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(iteration: u64, kind: &str, prompt: &str, text: &str) -> Sample {
        Sample {
            iteration,
            kind: kind.to_owned(),
            prompt: prompt.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn texts_are_paired_by_kind_prompt_and_order() {
        let samples = Samples::pair(vec![
            sample(0, "prior", "", "a0"),
            sample(0, "prior", "", "b0"),
            sample(0, "posterior", "p", "c0"),
            sample(50, "prior", "", "between"),
            sample(100, "prior", "", "a1"),
            sample(100, "prior", "", "b1"),
            sample(100, "posterior", "q", "d1"),
        ]);
        assert_eq!((samples.before, samples.after), (Some(0), Some(100)));
        let texts: Vec<_> = samples
            .pairs
            .iter()
            .map(|pair| (pair.before.as_deref(), pair.after.as_deref()))
            .collect();
        assert_eq!(
            texts,
            [
                (Some("a0"), Some("a1")),
                (Some("b0"), Some("b1")),
                (Some("c0"), None),
                (None, Some("d1")),
            ]
        );
    }

    #[test]
    fn one_iteration_is_after_alone() {
        let samples = Samples::pair(vec![sample(9, "prior", "", "x")]);
        assert_eq!((samples.before, samples.after), (None, Some(9)));
        assert_eq!(samples.pairs[0].after.as_deref(), Some("x"));
        assert_eq!(Samples::pair(vec![]), Samples::default());
    }

    #[test]
    fn a_restart_replaces_what_it_repeats() {
        let samples = Samples::pair(vec![
            sample(0, "prior", "", "start"),
            sample(100, "prior", "", "lost"),
            sample(80, "prior", "", "again"),
        ]);
        assert_eq!(samples.after, Some(80));
        assert_eq!(samples.pairs[0].after.as_deref(), Some("again"));
    }
}
