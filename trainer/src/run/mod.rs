//! A training run: data, iterations, metrics, validation, samples, checkpoints, resume.

mod checkpointing;
mod figures;
mod iterations;
mod log;
mod observer;
mod resume;
mod texts;

pub use observer::{Event, Observer, Silent};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ltm_engine::DeviceKind;
use ltm_engine::gpu::ProductChoices;

use crate::checkpoint::{self, BestValidation, State};
use crate::config::{Config, Init, Layers};
use crate::data::{Loader, Split};
use crate::evaluate;
use crate::generate::Generator;
use crate::metrics::Validation;
use crate::plan::{Fit, Room};
use crate::posterior::expect_kernels;
use crate::posterior::store::PosteriorStore;
use crate::run_dir::{RunDir, RunPaths};
use crate::{Error, Result, Trainer};

use log::Log;
pub(crate) use texts::rehearse as rehearse_texts;

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Directory of shards.
    pub data: PathBuf,
    /// Run directory.
    pub out: PathBuf,
    /// Settings. When a run is resumed, those that it was started with and what may change.
    pub config: Config,
    /// Continue the run in `out`.
    pub resume: bool,
    /// Processor.
    pub device: DeviceKind,
    /// Worker threads; 0: one per core.
    pub threads: usize,
    /// Bytes of the device's memory that may be used; all if absent.
    pub memory: Option<u64>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Iterations completed.
    pub iterations: u64,
    /// False if it was asked to stop before its last iteration.
    pub finished: bool,
    /// The last checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// First and last validation of this call: nats per token.
    pub validations: Option<(Validation, Validation)>,
}

/// The settings of a resumed run: those that it was started with, changed by `change`.
///
/// # Errors
/// If there is no run, or a setting that shapes the weights' course would change.
pub fn resumed_config(
    out: &Path,
    change: impl FnOnce(Layers) -> std::result::Result<Layers, crate::config::ConfigError>,
) -> Result<Option<Config>> {
    let paths = RunPaths::new(out);
    if !paths.config().exists() {
        return Ok(None);
    }
    let stored = Layers::from_toml(&paths.config())?.finish(None)?;
    let config = change(Layers::from_config(stored.clone()))?.finish(Some(&stored))?;
    let changed = stored.changed_keys(&config);
    if changed.is_empty() {
        return Ok(Some(config));
    }
    let list = changed.iter().map(|(key, was, is)| format!("{key} was {was}, is now {is}"));
    Err(Error::ChangedSettings { run: out.to_owned(), list: list.collect::<Vec<_>>().join("; ") })
}

/// Trains until the last iteration, or until `stop` is set; then the state is saved.
///
/// # Errors
/// Bad data or settings, a full disk, a loss that is not finite. The last checkpoint is whole
/// in every case.
pub fn train(
    options: &RunOptions,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Outcome> {
    options.config.check()?;
    let mut loader = open_loader(options, Split::Train)?;
    let validation = open_validation(options, observer)?;
    // Before anything is written: a device that is not there, or too small, is no reason to leave a run.
    let mut device = ltm_engine::open_within(options.device, options.threads, options.memory)?;
    let kept = resume::products(options);
    device.choose_products(options.config.train.gemm, &kept)?;
    expect_kernels(device.as_ref(), &options.config)?;
    Fit::of(&options.config, Room::of(device.as_ref()))?;
    let run_dir = resume::take(options)?;
    let paths = run_dir.paths().clone();
    checkpoint::recover(&paths.checkpoints())?;
    observer.event(Event::Started { device: device.name(), windows: loader.windows() });
    let mut trainer = Trainer::new(device, options.config.clone())?;
    let start = resume::load(&mut trainer, &mut loader, &paths, options)?;
    if let Some(path) = &start.checkpoint {
        observer.event(Event::Resumed { iteration: start.iteration, checkpoint: path });
    }
    let library = trainer.device.product_choices().library;
    if let Some(before) = kept.library.as_ref().filter(|before| library.as_ref() != Some(before)) {
        let now = library.as_deref();
        observer.event(Event::OtherLibrary { before, now });
    }
    let store = open_store(&trainer, loader.windows(), &paths, start.iteration, observer)?;
    resume::store_config(&trainer.config, &paths)?;
    let log = Log::open(&paths, start.iteration)?;
    let run = Run {
        _dir: run_dir,
        options,
        paths,
        trainer,
        position: loader.position(),
        loader: Arc::new(loader),
        store,
        validation,
        generator: None,
        log,
        best: start.best,
        checkpoint: start.checkpoint.clone(),
        validations: None,
        concluded: None,
        kept,
    };
    run.iterate(&start, observer, stop)
}

fn open_loader(options: &RunOptions, split: Split) -> Result<Loader> {
    let config = &options.config;
    let (seed, vocab) = (config.train.seed, config.model.vocab_size);
    Ok(Loader::open(&options.data, split, config.seq_len(), seed, vocab)?)
}

/// Validation data, unless none is wanted or there is none.
fn open_validation(options: &RunOptions, observer: &mut dyn Observer) -> Result<Option<Loader>> {
    if options.config.train.validate_every == 0 {
        return Ok(None);
    }
    match open_loader(options, Split::Val) {
        Ok(loader) => Ok(Some(loader)),
        Err(Error::Data(error)) if error.is_absent_split() => {
            observer.event(Event::NoValidation { reason: error.to_string() });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The posteriors that warm starts begin from, where there are any.
fn open_store(
    trainer: &Trainer,
    windows: u64,
    paths: &RunPaths,
    iteration: u64,
    observer: &mut dyn Observer,
) -> Result<Option<PosteriorStore>> {
    let config = &trainer.config;
    if config.posterior.init == Init::Cold {
        return Ok(None);
    }
    let path = paths.posteriors();
    let store = PosteriorStore::open(&path, &config.model, windows, iteration)?;
    let bytes = PosteriorStore::bytes(&config.model, windows);
    observer.event(Event::WarmStarts { path: &path, bytes });
    Ok(Some(store))
}

struct Run<'a> {
    _dir: RunDir,
    options: &'a RunOptions,
    paths: RunPaths,
    trainer: Trainer,
    loader: Arc<Loader>,
    /// Training windows consumed.
    position: u64,
    /// When the figures of the last iteration were there.
    concluded: Option<Instant>,
    store: Option<PosteriorStore>,
    validation: Option<Loader>,
    generator: Option<Generator>,
    log: Log,
    best: Option<BestValidation>,
    checkpoint: Option<PathBuf>,
    validations: Option<(Validation, Validation)>,
    /// Choices of products of the run that is resumed.
    kept: ProductChoices,
}

impl Run<'_> {
    fn validate(&mut self, iteration: u64, stop: &AtomicBool) -> Result<Option<Validation>> {
        let Some(loader) = &self.validation else { return Ok(None) };
        let config = &self.options.config;
        let windows = loader.fixed_windows(config.train.validation_sequences);
        let quiet = |_: usize| {};
        let options = evaluate::Options { fast_steps: None, stop, progress: &quiet };
        let evaluation = match evaluate::validate(&mut self.trainer, loader, &windows, &options) {
            // The iteration counts; its validation is left out.
            Err(Error::Interrupted) => return Ok(None),
            Err(Error::Evaluate(source)) => return Err(Error::Validation { iteration, source }),
            other => other?,
        };
        let bound = evaluation.summary.corpus.bound;
        let validation = figures::validation(evaluation, config.fast.method.is_point());
        if self.best.is_none_or(|best| bound < best.bound) {
            self.best = Some(BestValidation { iteration, bound });
        }
        let first = match self.validations.take() {
            Some((first, _)) => first,
            None => validation.clone(),
        };
        self.validations = Some((first, validation.clone()));
        Ok(Some(validation))
    }

    fn save(&mut self, iteration: u64, observer: &mut dyn Observer) -> Result<()> {
        self.log.sync()?;
        if let Some(store) = &self.store {
            store.sync()?;
        }
        let state = State {
            format: checkpoint::FORMAT,
            iteration,
            windows_consumed: self.position,
            windows: self.loader.windows(),
            optimizer_steps: iteration,
            seed: self.options.config.train.seed,
            tokenizer: self.loader.tokenizer().tokenizer.name().to_owned(),
            best_validation: self.best,
            products: self.products(),
        };
        let path = checkpointing::save(&mut self.trainer, &self.paths, &state)?;
        if let Some(store) = &mut self.store {
            store.commit(iteration)?;
        }
        observer.event(Event::Saved { checkpoint: &path });
        self.checkpoint = Some(path);
        Ok(())
    }

    /// The choices to keep: where there is no library now, those from where there was one.
    fn products(&self) -> ProductChoices {
        let chosen = self.trainer.device.product_choices();
        if chosen.library.is_some() { chosen } else { self.kept.clone() }
    }

    fn sample(
        &mut self,
        iteration: u64,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<()> {
        let Trainer { device, config, parameters, .. } = &mut self.trainer;
        if self.generator.is_none() {
            self.generator = Some(Generator::new(device.as_mut(), config, parameters)?);
        }
        let Some(generator) = &mut self.generator else { return Ok(()) };
        let source = self.validation.as_ref().unwrap_or(&self.loader);
        let texts = texts::draw(generator, device.as_mut(), config, source, iteration, stop)?;
        for sample in texts {
            observer.event(Event::Sample { sample: &sample });
            self.log.append_sample(&sample)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
