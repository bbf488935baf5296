//! Where a run starts: anew, or from its last checkpoint.

use std::path::PathBuf;

use ltm_engine::gpu::ProductChoices;

use super::RunOptions;
use crate::checkpoint::{self, BestValidation, Purpose};
use crate::config::Config;
use crate::data::Loader;
use crate::run_dir::{RunDir, RunPaths};
use crate::{Error, Result, Trainer, atomic_file};

/// Where the run starts.
pub(super) struct Start {
    /// The next iteration.
    pub(super) iteration: u64,
    /// What it was loaded from.
    pub(super) checkpoint: Option<PathBuf>,
    /// Best validation so far.
    pub(super) best: Option<BestValidation>,
}

/// Takes the run directory. A run that was cut off before it had written anything is begun anew
/// by `--resume`; a directory that does not exist is refused.
pub(super) fn take(options: &RunOptions) -> Result<RunDir> {
    let begun = RunPaths::new(&options.out).config().exists();
    Ok(match options.resume && (begun || !options.out.is_dir()) {
        true => RunDir::open(&options.out)?,
        false => RunDir::create(&options.out)?,
    })
}

/// Who computed matrix products in the run that is resumed. What is wrong with a checkpoint shows
/// when it is loaded.
pub(super) fn products(options: &RunOptions) -> ProductChoices {
    if !options.resume {
        return ProductChoices::default();
    }
    let checkpoints = RunPaths::new(&options.out).checkpoints();
    let latest = checkpoint::latest(&checkpoints, Purpose::Training).ok().flatten();
    latest.map(|checkpoint| checkpoint.state().products.clone()).unwrap_or_default()
}

/// Initialises the weights, or loads the last checkpoint and the position in the data.
pub(super) fn load(
    trainer: &mut Trainer,
    loader: &mut Loader,
    paths: &RunPaths,
    options: &RunOptions,
) -> Result<Start> {
    let config = &options.config;
    let latest = match options.resume {
        true => checkpoint::latest(&paths.checkpoints(), Purpose::Training)?,
        false => None,
    };
    let Some(checkpoint) = latest else {
        let (device, seed) = (trainer.device.as_mut(), config.train.seed);
        trainer.parameters.initialise(device, &config.model, seed)?;
        return Ok(Start { iteration: 0, checkpoint: None, best: None });
    };
    let state = checkpoint.state();
    loader.resume(&state.tokenizer, state.windows, state.windows_consumed)?;
    trainer.parameters.load(trainer.device.as_mut(), &checkpoint)?;
    Ok(Start {
        iteration: state.iteration,
        checkpoint: Some(checkpoint.path().to_owned()),
        best: state.best_validation,
    })
}

/// Writes the resolved settings into the run directory.
pub(super) fn store_config(config: &Config, paths: &RunPaths) -> Result<()> {
    let path = paths.config();
    atomic_file::write(&path, config.to_toml()?.as_bytes())
        .map_err(|source| Error::Write { path, source })
}
