//! What became of one run, kept beside it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::score::Figure;
use super::{Result, Scoring, SweepError};
use crate::config::Config;
use crate::{Error, atomic_file};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Ending {
    /// Trained to its last iteration and scored.
    Finished {
        /// Its figures.
        figures: Vec<Figure>,
    },
    /// It cannot go on: it diverged, or does not fit the memory.
    Failed {
        /// Why.
        error: String,
    },
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Its settings.
    pub config: Config,
    /// What it was trained and scored on.
    pub data: PathBuf,
    /// How it was scored.
    pub scoring: Scoring,
    /// Seconds of its iterations.
    pub seconds: f64,
    /// How it ended.
    #[serde(flatten)]
    pub ending: Ending,
}

impl RunResult {
    /// Where the result of a run is kept.
    pub fn path(run: &Path) -> PathBuf {
        run.join("result.json")
    }

    /// The result of a run, if it is over.
    ///
    /// # Errors
    /// [`SweepError::Damaged`], or a file that cannot be read.
    pub fn read(run: &Path) -> Result<Option<Self>> {
        let path = Self::path(run);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SweepError::Unreadable { path, source }.into()),
        };
        let damaged = |error: serde_json::Error| {
            Error::from(SweepError::Damaged { path, message: error.to_string() })
        };
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }

    /// Keeps it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        let path = Self::path(run);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::Write { path: path.clone(), source: error.into() })?;
        // A run that was refused for its size has no directory yet.
        fs::create_dir_all(run)
            .and_then(|()| atomic_file::write(&path, text.as_bytes()))
            .map_err(|source| Error::Write { path, source })
    }

    /// Whether it is that of a run with `config` scored so. How a failed run would have been
    /// scored does not matter.
    pub fn is_of(&self, config: &Config, data: &Path, scoring: Scoring) -> bool {
        let scored = self.data == data && self.scoring == scoring;
        same_run(config, &self.config) && (scored || matches!(self.ending, Ending::Failed { .. }))
    }
}

/// Whether two configurations train the same weights for the same number of iterations.
pub(super) fn same_run(a: &Config, b: &Config) -> bool {
    a.changed_keys(b).is_empty() && a.train.iterations == b.train.iterations
}
