//! The figures of a finished run. What `ltm eval` computes comes in here and nowhere else.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use ltm_engine::Device;
use serde::{Deserialize, Serialize};

use super::{Result, Scoring, SweepError};
use crate::checkpoint::{self, Purpose};
use crate::config::Config;
use crate::data::{Loader, Split};
use crate::evaluate::{Averages, Measurement, Portion, Subject, View, measure};
use crate::metrics::{self, Metrics};
use crate::model::Parameters;
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
    /// The number, a finite one.
    pub value: f64,
}

/// The views of which figures are taken, for sequences of the length of `config`.
pub(super) fn views(config: &Config, scoring: Scoring) -> [View; 4] {
    let part = |set: usize, of: usize| match set {
        0 => (config.seq_len() / of).max(1),
        fixed => fixed,
    };
    [
        View::All,
        View::Prior,
        View::Front(part(scoring.context, 2)),
        View::Blocks(part(scoring.block, 4)),
    ]
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

    let mut figures = Figures(Vec::new());
    let lines: Vec<Metrics> = metrics::read(&paths.metrics())?;
    if let Some(validation) = lines.iter().rev().find_map(|line| line.validation.as_ref()) {
        let title = "bound of the last validation";
        figures.add("val_bound", title, (View::All, true), validation.val_bound);
    }
    let subject = &mut Subject { device, config: &config, parameters: &parameters };
    let mut of_view = |view: View| {
        let portion = Portion { source: Box::new(&loader), seq, windows: windows.clone() };
        let how = Measurement {
            view,
            fast_steps: None,
            samples: scoring.samples,
            batch: BATCH,
            token_bytes: &[],
            stop,
            progress: &|_, _| {},
        };
        Ok::<_, crate::Error>(Averages::of(&measure(subject, &[portion], &how)?.sequences))
    };
    let [all, prior, front, blocks] = views(&config, scoring);
    match config.fast.method.is_point() {
        true => figures.of_points(all, &of_view(all)?),
        false => figures.of_posteriors(all, &of_view(all)?),
    }
    figures.of_prior(prior, &of_view(prior)?);
    let title = "nll of the rest of each sequence";
    figures.add("front_nll", title, (front, true), of_view(front)?.nll);
    figures.add("blocks_nll", "nll, block by block", (blocks, true), of_view(blocks)?.nll);
    Ok(figures.0)
}

struct Figures(Vec<Figure>);

impl Figures {
    /// Adds a number if it is one.
    fn add(&mut self, key: &str, title: &str, (view, ranks): (View, bool), value: f64) {
        if value.is_finite() {
            let (key, title, seen) = (key.to_owned(), title.to_owned(), view.words());
            self.0.push(Figure { key, title, seen, ranks, value });
        }
    }

    fn of_prior(&mut self, view: View, averages: &Averages) {
        let title = "nll of the mixture of draws of z";
        self.add("prior_nll", title, (view, true), averages.nll);
    }

    fn of_posteriors(&mut self, view: View, averages: &Averages) {
        self.add("bound", "bound, nll + kl", (view, true), averages.bound);
        self.add("nll", "nll", (view, false), averages.nll);
        let mut optional = |key, title, ranks, value: Option<f64>| {
            self.add(key, title, (view, ranks), value.unwrap_or(f64::NAN));
        };
        optional("kl", "kl", false, averages.kl);
        let title = "bound at fresh draws of z, not those that the fast loop has adapted to";
        optional("fresh_bound", title, true, averages.fresh_bound);
        optional("iw_bound", "importance-weighted bound", true, averages.importance_bound);
        optional("ppl", "perplexity, mean of exp(bound) over sequences", true, {
            Some(averages.mean_perplexity)
        });
    }

    /// Langevin dynamics has no posterior, hence no KL and no bound.
    fn of_points(&mut self, view: View, averages: &Averages) {
        self.add("nll", "nll", (view, false), averages.nll);
        let title = "-log p(z), a density's, and no KL";
        self.add("neg_log_prior", title, (view, false), averages.kl.unwrap_or(f64::NAN));
    }
}
