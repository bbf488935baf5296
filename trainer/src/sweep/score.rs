//! The figures of a finished run. What `ltm eval` computes comes in here and nowhere else.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use ltm_engine::Device;
use serde::{Deserialize, Serialize};

use super::{Result, Scoring, SweepError};
use crate::checkpoint::{self, Purpose};
use crate::config::Config;
use crate::data::{Loader, Split};
use crate::evaluate::{Evaluator, Options, evaluate};
use crate::metrics::{self, Metrics};
use crate::model::{BatchShape, Parameters};
use crate::run_dir::RunPaths;

/// Sequences scored at once.
const BATCH: usize = 8;

/// One number about a run, nats per token unless its title says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// In files.
    pub key: String,
    /// For people.
    pub title: String,
    /// What z has seen of the text that is scored.
    pub seen: String,
    /// Whether it says by itself which of two cells is the better one: the smaller it is. An nll
    /// whose z has seen the text does not.
    pub ranks: bool,
    /// The number.
    pub value: f64,
}

impl Figure {
    fn new(key: &str, title: &str, seen: impl Into<String>, value: f64) -> Self {
        let (key, title, seen) = (key.to_owned(), title.to_owned(), seen.into());
        Self { key, title, seen, ranks: false, value }
    }

    fn ranking(self) -> Self {
        Self { ranks: true, ..self }
    }
}

/// Tokens of each sequence that z may see where the rest is predicted.
pub(super) fn context(config: &Config, scoring: Scoring) -> usize {
    match scoring.context {
        0 => (config.seq_len() / 2).max(1),
        fixed => fixed,
    }
}

/// Scores the last checkpoint of a run on the validation shards of `data`.
///
/// # Errors
/// If there is no checkpoint, what evaluation finds wrong, or [`crate::Error::Interrupted`].
pub(super) fn score(
    device: &mut dyn Device,
    run: &Path,
    data: &Path,
    scoring: Scoring,
    stop: &AtomicBool,
) -> Result<Vec<Figure>> {
    let paths = RunPaths::new(run);
    let checkpoint = checkpoint::latest(&paths.checkpoints(), Purpose::Inference)?
        .ok_or_else(|| SweepError::NoCheckpoint { path: run.to_owned() })?;
    let config = checkpoint.config().clone();
    let (seq, vocab) = (config.seq_len(), config.model.vocab_size);
    let loader = Loader::open(data, Split::Val, seq, config.train.seed, vocab)?;
    loader.expect_tokenizer(&checkpoint.state().tokenizer)?;
    let wanted = if scoring.sequences == 0 { usize::MAX } else { scoring.sequences };
    let windows = loader.fixed_windows(wanted);

    let parameters = Parameters::zeroed(device, &config.model, (config.storage(), false))?;
    parameters.load(device, &checkpoint)?;
    let shape = BatchShape { batch: BATCH.min(windows.len()), seq };
    let mut evaluator = Evaluator::new(device, &config, &parameters, shape)?;
    let mut evaluated = |context: Option<usize>| {
        let options = Options { fast_steps: None, context, stop, progress: &|_| {} };
        evaluate(evaluator.on(device), &config, &loader, &windows, &options)
    };

    let whole = "all of the text";
    let mut figures = Vec::new();
    let lines: Vec<Metrics> = metrics::read(&paths.metrics())?;
    if let Some(validation) = lines.iter().rev().find_map(|line| line.validation.as_ref()) {
        let title = "bound of the last validation";
        figures.push(Figure::new("val_bound", title, whole, validation.val_bound).ranking());
    }
    let summary = evaluated(None)?.summary;
    let corpus = summary.corpus;
    figures.push(Figure::new("bound", "bound", whole, corpus.bound).ranking());
    figures.push(Figure::new("nll", "nll", whole, corpus.nll));
    figures.push(Figure::new("kl", "kl", whole, corpus.kl));
    let title = "perplexity of the bound, mean over sequences";
    figures.push(Figure::new("ppl", title, whole, summary.per_sequence.perplexity).ranking());
    let context = context(&config, scoring);
    if let Some(rest) = evaluated(Some(context))?.summary.continuation {
        let seen = format!("the first {context} tokens of each sequence, none of those scored");
        figures.push(Figure::new("unseen_nll", "nll of the rest", seen, rest.nll).ranking());
    }
    Ok(figures)
}
