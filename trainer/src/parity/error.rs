//! Why a fixture could not be checked.

use std::path::PathBuf;

/// Errors of a comparison.
#[derive(Debug, thiserror::Error)]
pub enum ParityError {
    /// A file could not be read.
    #[error("cannot read {}: {source}; a fixture is NAME.safetensors with NAME.json beside it", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {detail}", path.display())]
    Malformed {
        /// File.
        path: PathBuf,
        /// What was expected.
        detail: String,
    },
    /// The computation failed.
    #[error(transparent)]
    Run(#[from] crate::Error),
}

impl From<ltm_engine::Error> for ParityError {
    fn from(error: ltm_engine::Error) -> Self {
        ParityError::Run(error.into())
    }
}

impl From<ltm_autograd::Error> for ParityError {
    fn from(error: ltm_autograd::Error) -> Self {
        ParityError::Run(error.into())
    }
}
