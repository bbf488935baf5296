//! The directory of one training run, held by one process at a time.
//!
//! ```text
//! RUN/config.toml      the resolved configuration
//!     metrics.jsonl    one line per iteration, the same on every repetition of the run
//!     timing.jsonl     one line per iteration, of this machine and moment
//!     samples.jsonl    generated text
//!     checkpoints/     iter_00000010/ and so on
//!     posteriors.bin   what warm starts begin from, where posterior.init is warm
//!     report.html
//!     .lock            held while a training runs; its presence alone means nothing
//! ```

mod lock;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lock::Lock;

/// Where the files of a run are. Needs no lock: reading a run while it trains is fine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPaths {
    root: PathBuf,
}

impl RunPaths {
    /// The files of the run in `root`, whether or not they exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself; TensorBoard events lie directly in it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Metrics of every iteration.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// Seconds and memory of every iteration.
    pub fn timing(&self) -> PathBuf {
        self.root.join("timing.jsonl")
    }

    /// Generated text.
    pub fn samples(&self) -> PathBuf {
        self.root.join("samples.jsonl")
    }

    /// The directory of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Posteriors of earlier visits, for warm starts.
    pub fn posteriors(&self) -> PathBuf {
        self.root.join("posteriors.bin")
    }

    /// The report.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    fn lock(&self) -> PathBuf {
        self.root.join(".lock")
    }
}

/// A run directory held for training. The lock is released when this is dropped or the process
/// ends, however it ends.
#[derive(Debug)]
pub struct RunDir {
    paths: RunPaths,
    _lock: Lock,
}

/// Why a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// The directory or its lock cannot be made, for example on a read-only disk.
    #[error("cannot {action} {}: {source}; choose a directory you may write to", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process trains into it.
    #[error(
        "another training holds {} (process {holder}): wait for it, stop it, or choose another \
         directory", path.display()
    )]
    Locked {
        /// The run directory.
        path: PathBuf,
        /// Process id as its lock file has it, or "unknown".
        holder: String,
    },
    /// There is a run in it already.
    #[error(
        "{} already holds a run (it has {found}): continue it with --resume, or choose another \
         directory", path.display()
    )]
    Occupied {
        /// The run directory.
        path: PathBuf,
        /// What gives the run away.
        found: String,
    },
    /// There is no run in it to resume.
    #[error(
        "no run to resume in {}: {missing} is missing; check the path, or start one without \
         --resume", path.display()
    )]
    NoRun {
        /// The run directory.
        path: PathBuf,
        /// What a run would have.
        missing: &'static str,
    },
}

impl RunDir {
    /// Takes a directory for a new run, creating it and its `checkpoints/` if need be.
    ///
    /// # Errors
    /// [`RunDirError::Occupied`] if it holds a run, [`RunDirError::Locked`] if one is training,
    /// [`RunDirError::Io`] if it cannot be written.
    pub fn create(root: &Path) -> Result<Self, RunDirError> {
        let paths = RunPaths::new(root);
        create_directory(root)?;
        let lock = Lock::take(&paths)?;
        if let Some(found) = traces_of_a_run(&paths) {
            return Err(RunDirError::Occupied { path: root.to_owned(), found });
        }
        create_directory(&paths.checkpoints())?;
        Ok(Self { paths, _lock: lock })
    }

    /// Takes the directory of an existing run to continue it.
    ///
    /// # Errors
    /// [`RunDirError::NoRun`] naming what is missing, [`RunDirError::Locked`] if one is training,
    /// [`RunDirError::Io`] if it cannot be written.
    pub fn open(root: &Path) -> Result<Self, RunDirError> {
        let paths = RunPaths::new(root);
        let no_run = |missing| RunDirError::NoRun { path: root.to_owned(), missing };
        if !root.is_dir() {
            return Err(no_run("the directory"));
        }
        if !paths.config().is_file() {
            return Err(no_run("config.toml"));
        }
        let lock = Lock::take(&paths)?;
        create_directory(&paths.checkpoints())?;
        Ok(Self { paths, _lock: lock })
    }

    /// Where its files are.
    pub fn paths(&self) -> &RunPaths {
        &self.paths
    }
}

fn traces_of_a_run(paths: &RunPaths) -> Option<String> {
    let files = [paths.config(), paths.metrics()];
    if let Some(file) = files.iter().find(|file| file.exists()) {
        return file.file_name()?.to_str().map(str::to_owned);
    }
    let first = fs::read_dir(paths.checkpoints()).ok()?.next()?.ok()?;
    Some(format!("checkpoints/{}", first.file_name().to_string_lossy()))
}

fn create_directory(path: &Path) -> Result<(), RunDirError> {
    fs::create_dir_all(path).map_err(|source| RunDirError::Io {
        action: "create the directory",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
