//! Checkpoints: what a run needs to continue to the bit, and models as others exchange them.
//!
//! ```text
//! checkpoints/iter_00000010/model.safetensors      parameters, f32, [out, in], released names
//!                           optimizer.safetensors  m.NAME and v.NAME of every parameter
//!                           config.json            the configuration
//!                           state.json             where the run stands
//!                           checksums.json         CRC-32 of every tensor; without it none is checked
//! ```
//!
//! A checkpoint is written under a temporary name, synced and renamed ([`save`]), and pruned by
//! being renamed before it is deleted, so whatever carries a checkpoint's name is whole. The same
//! state gives the same bytes. Leftovers of an interrupted process are put right by [`recover`].

mod checksums;
mod directory;
mod error;
mod save;
mod source;
mod state;
mod tensor_file;
mod tensor_writer;
mod weights;

pub use directory::{latest, list, recover};
pub use error::CheckpointError;
pub use save::save;
pub use source::{HostTensors, Part, TensorSource};
pub use state::{BestValidation, FORMAT, State};
pub use tensor_file::TensorFile;
pub use weights::Weights;

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::config::Config;
use checksums::Checksums;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const CONFIG: &str = "config.json";
const STATE: &str = "state.json";
const CHECKSUMS: &str = "checksums.json";

/// What a checkpoint is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Continuing the training: the optimiser's file must be there.
    Training,
    /// Using the model: the optimiser's file is not looked at.
    Inference,
}

/// An open checkpoint: its JSON is read, its tensors are known to be there in the right shapes.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    config: Config,
    state: State,
    weights: Weights,
    optimizer: Option<TensorFile>,
}

impl Checkpoint {
    /// Opens a checkpoint directory and checks everything but the tensors' values.
    ///
    /// # Errors
    /// Any missing, cut or damaged file, or tensors other than the configuration's.
    pub fn open(path: &Path, purpose: Purpose) -> Result<Self, CheckpointError> {
        let config_path = path.join(CONFIG);
        let config: Config = read_json(&config_path)?;
        config.check().map_err(|source| CheckpointError::BadConfig {
            path: config_path,
            source: Box::new(source),
        })?;
        let state_path = path.join(STATE);
        let state: State = read_json(&state_path)?;
        if state.format != FORMAT {
            return Err(CheckpointError::WrongFormat {
                path: state_path,
                found: state.format,
                expected: FORMAT,
            });
        }
        let checksums = Checksums::of_directory(path)?;
        let known = checksums.of_file(MODEL);
        let weights = Weights::open_known(&path.join(MODEL), &config, known)?;
        let optimizer = match purpose {
            Purpose::Inference => None,
            Purpose::Training => {
                let known = checksums.of_file(OPTIMIZER);
                let file = TensorFile::open(&path.join(OPTIMIZER))?.with_checksums(known);
                file.expect(&optimizer_shapes(&config))?;
                Some(file)
            }
        };
        Ok(Self { path: path.to_owned(), config, state, weights, optimizer })
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration it was trained with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the run stood.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Reads one parameter, row-major.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub fn read_weight(&self, parameter: &str, out: &mut [f32]) -> Result<(), CheckpointError> {
        self.weights.read(parameter, out)
    }

    /// Reads the optimiser's moments of one parameter, row-major.
    ///
    /// # Errors
    /// As [`TensorFile::read`]; a checkpoint opened for inference has none.
    pub fn read_moments(
        &self,
        parameter: &str,
        first: &mut [f32],
        second: &mut [f32],
    ) -> Result<(), CheckpointError> {
        let file = self
            .optimizer
            .as_ref()
            .ok_or_else(|| CheckpointError::MissingFile { path: self.path.join(OPTIMIZER) })?;
        file.read(&Part::FirstMoment.name(parameter), first)?;
        file.read(&Part::SecondMoment.name(parameter), second)
    }
}

fn optimizer_shapes(config: &Config) -> Vec<(String, Vec<usize>)> {
    let shapes = config.parameter_shapes();
    [Part::FirstMoment, Part::SecondMoment]
        .into_iter()
        .flat_map(|part| shapes.iter().map(move |(name, shape)| (part.name(name), shape.clone())))
        .collect()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, CheckpointError> {
    let bytes = fs::read(path).map_err(CheckpointError::io("open", path))?;
    serde_json::from_slice(&bytes).map_err(|error| CheckpointError::BrokenJson {
        path: path.to_owned(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
