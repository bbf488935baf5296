//! Sweeps: the same training over a grid of settings, with a fixed budget for each run.
//!
//! Every cell is trained once per seed, in a run directory of its own: `OUT/runs/CELL/seed-S`. A
//! sweep that was stopped goes on where it was: a finished run is not repeated, an unfinished one
//! is resumed, and a run directory with the settings of a cell is taken over whoever made it. A run
//! that diverges is recorded as that, and the others go on.
//!
//! ```text
//! OUT/sweep.json  sweep.csv  sweep.md  sweep.html  sweep.svg     after each run, and at the end
//!     runs/CELL/seed-S/                                          a run directory
//!                      result.json                               its figures, once it is over
//! ```

mod cell;
mod curves;
mod error;
mod file;
mod reader;
mod result;
mod score;
mod summary;
mod tables;
#[cfg(test)]
mod tests;

pub use cell::{Cell, cells};
pub use error::SweepError;
pub use file::{Block, Budget, Scoring, Setting, SweepFile};
pub use result::{Ending, RunResult};
pub use score::Figure;
pub use summary::{Aggregate, CellSummary, RunLine, Summary};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ltm_engine::DeviceKind;

use crate::config::{Config, Layers};
use crate::data::{Loader, Split};
use crate::evaluate::EvaluateError;
use crate::metrics::{self, Timing};
use crate::plan::PlanError;
use crate::run::{self, Event, Observer, RunOptions};
use crate::run_dir::RunPaths;
use crate::{Error, Result};
use result::same_run;

/// What a sweep is made of.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// What to train.
    pub cells: Vec<Cell>,
    /// Seeds of the runs of each cell.
    pub seeds: Vec<u64>,
    /// How runs are scored.
    pub scoring: Scoring,
    /// Directory of shards.
    pub data: PathBuf,
    /// Directory of the sweep.
    pub out: PathBuf,
    /// Processor.
    pub device: DeviceKind,
    /// Worker threads; 0: one per core.
    pub threads: usize,
    /// Bytes of the device's memory that may be used; all if absent.
    pub memory: Option<u64>,
}

impl SweepOptions {
    /// The directory of a run.
    pub fn run_directory(&self, cell: &Cell, seed: u64) -> PathBuf {
        self.out.join("runs").join(&cell.name).join(format!("seed-{seed}"))
    }

    /// The result of a run, if it is over.
    ///
    /// # Errors
    /// [`SweepError::Damaged`], or a file that cannot be read.
    pub fn result(&self, cell: &Cell, seed: u64) -> Result<Option<RunResult>> {
        let found = RunResult::read(&self.run_directory(cell, seed))?;
        let config = cell.with_seed(seed);
        Ok(found.filter(|result| result.is_of(&config, &self.data, self.scoring)))
    }
}

/// Something that happened in a sweep.
#[derive(Debug)]
pub enum SweepEvent<'a> {
    /// A run begins, or goes on.
    Begin {
        /// Its cell.
        cell: &'a Cell,
        /// Its seed.
        seed: u64,
        /// Its number among the runs of the sweep, from 1.
        number: usize,
        /// Runs of the sweep.
        of: usize,
    },
    /// Something happened in its training.
    Training(Event<'a>),
    /// A run is over, just now or from the start.
    End {
        /// Its cell.
        cell: &'a Cell,
        /// Its seed.
        seed: u64,
        /// What became of it.
        result: &'a RunResult,
    },
}

/// Somebody who watches a sweep.
pub trait SweepObserver {
    /// Called in the order of events.
    fn event(&mut self, event: SweepEvent<'_>);
}

struct InTraining<'a>(&'a mut dyn SweepObserver);

impl Observer for InTraining<'_> {
    fn event(&mut self, event: Event<'_>) {
        self.0.event(SweepEvent::Training(event));
    }
}

/// Runs what has not been run, until all is done or `stop` is set, all cells with the first seed
/// before the second. Returns what there is then; the same is in the files of the sweep.
///
/// # Errors
/// Bad data, a run directory of other settings, a full disk. A run that diverges or does not fit
/// the memory is no error.
pub fn run(
    options: &SweepOptions,
    observer: &mut dyn SweepObserver,
    stop: &AtomicBool,
) -> Result<Summary> {
    check(options)?;
    let of = options.cells.len() * options.seeds.len();
    let pairs = options.seeds.iter().flat_map(|&seed| options.cells.iter().map(move |c| (c, seed)));
    let mut written = false;
    for (index, (cell, seed)) in pairs.enumerate() {
        if let Some(result) = options.result(cell, seed)? {
            observer.event(SweepEvent::End { cell, seed, result: &result });
            continue;
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        observer.event(SweepEvent::Begin { cell, seed, number: index + 1, of });
        let Some(result) = one(options, cell, seed, observer, stop)? else { break };
        result.write(&options.run_directory(cell, seed))?;
        observer.event(SweepEvent::End { cell, seed, result: &result });
        Summary::of(options)?.write(options)?;
        written = true;
    }
    let summary = Summary::of(options)?;
    if !written {
        summary.write(options)?;
    }
    Ok(summary)
}

/// What would end the sweep later is found before it begins.
fn check(options: &SweepOptions) -> Result<()> {
    for cell in &options.cells {
        let config = &cell.config;
        for split in [Split::Train, Split::Val] {
            let (seq, vocab) = (config.seq_len(), config.model.vocab_size);
            Loader::open(&options.data, split, seq, config.train.seed, vocab)?;
        }
        for view in score::views(config, options.scoring) {
            view.check(config.seq_len())?;
        }
        for &seed in &options.seeds {
            stored(&options.run_directory(cell, seed), &cell.with_seed(seed))?;
        }
    }
    Ok(())
}

/// Whether there is a run in a directory, which then has to be the one with `config`.
fn stored(run: &Path, config: &Config) -> Result<bool> {
    let path = RunPaths::new(run).config();
    if !path.exists() {
        return Ok(false);
    }
    let stored = Layers::from_toml(&path)?.finish(None)?;
    if same_run(&stored, config) {
        return Ok(true);
    }
    let mut changed = stored.changed_keys(config);
    if stored.train.iterations != config.train.iterations {
        let [was, is] = [&stored, config].map(|config| config.train.iterations.to_string());
        changed.push(("train.iterations".to_owned(), was, is));
    }
    let list = changed.iter().map(|(key, was, is)| format!("{key} is {was} there, {is} here"));
    let difference = list.collect::<Vec<_>>().join("; ");
    Err(SweepError::OtherRun { path: run.to_owned(), difference }.into())
}

/// Trains and scores a run; `None` if it was stopped.
fn one(
    options: &SweepOptions,
    cell: &Cell,
    seed: u64,
    observer: &mut dyn SweepObserver,
    stop: &AtomicBool,
) -> Result<Option<RunResult>> {
    let out = options.run_directory(cell, seed);
    let config = cell.with_seed(seed);
    let training = RunOptions {
        data: options.data.clone(),
        out: out.clone(),
        config: config.clone(),
        resume: stored(&out, &config)?,
        device: options.device,
        threads: options.threads,
        memory: options.memory,
    };
    let result = |ending| -> Result<Option<RunResult>> {
        let (data, scoring) = (options.data.clone(), options.scoring);
        let seconds = seconds(&out)?;
        Ok(Some(RunResult { config: config.clone(), data, scoring, seconds, ending }))
    };
    let failed = |error: Error| result(Ending::Failed { error: error.to_string() });
    match run::train(&training, &mut InTraining(observer), stop) {
        Ok(outcome) if !outcome.finished => return Ok(None),
        Ok(_) => {}
        Err(error) if is_of_the_cell(&error) => return failed(error),
        Err(error) => return Err(error),
    }
    let mut device = ltm_engine::open_within(options.device, options.threads, options.memory)?;
    match score::score(device.as_mut(), &out, &options.data, options.scoring, stop) {
        Ok(figures) => result(Ending::Finished { figures }),
        Err(Error::Interrupted) => Ok(None),
        Err(error) if is_of_the_cell(&error) => failed(error),
        Err(error) => Err(error),
    }
}

/// Whether the settings of a cell are to blame, and no other cell is concerned.
fn is_of_the_cell(error: &Error) -> bool {
    matches!(
        error,
        Error::Diverged { .. }
            | Error::Validation { .. }
            | Error::Evaluate(EvaluateError::NotFinite { .. })
            | Error::Plan(PlanError::DoesNotFit { .. } | PlanError::TooLarge { .. })
    )
}

/// Seconds of the iterations of a run.
fn seconds(run: &Path) -> Result<f64> {
    let path = RunPaths::new(run).timing();
    if !path.exists() {
        return Ok(0.0);
    }
    let lines: Vec<Timing> = metrics::read(&path)?;
    Ok(lines.iter().map(|line| line.seconds).sum())
}
