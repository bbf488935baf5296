//! What can go wrong with a sweep.

use std::path::PathBuf;

use crate::config::{ConfigError, Origin};

/// Why a sweep cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The file cannot be read.
    #[error("cannot read the sweep {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("{origin}: not valid TOML: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// The parser's words.
        message: String,
    },
    /// Something in the file that no sweep has, or of another kind.
    #[error("{origin}: {problem}; expected {expected}")]
    Malformed {
        /// Where.
        origin: Origin,
        /// What is there.
        problem: String,
        /// What would have to be.
        expected: String,
    },
    /// The settings of a cell do not work.
    #[error("cell {cell}: {source}")]
    Settings {
        /// The cell.
        cell: String,
        /// What is wrong.
        source: Box<ConfigError>,
    },
    /// A budget that does not buy one iteration.
    #[error(
        "cell {cell}: a budget of {budget} does not pay for one iteration, which takes {least}; \
         raise it, or lower train.batch or train.seq_len"
    )]
    Budget {
        /// The cell.
        cell: String,
        /// What it may spend.
        budget: String,
        /// What one iteration takes.
        least: String,
    },
    /// Two cells are called the same.
    #[error("two cells are called {name}; give one of them a name of its own: name = \"...\"")]
    SameName {
        /// The name.
        name: String,
    },
    /// Two cells would train the same models.
    #[error("the cells {first} and {second} have the same settings; leave one of them out")]
    SameSettings {
        /// A cell.
        first: String,
        /// Another one.
        second: String,
    },
    /// A run directory that another sweep, or another version of this one, has left.
    #[error(
        "{} holds a run of other settings ({difference}); remove it, or give the sweep another \
         --out", path.display()
    )]
    OtherRun {
        /// The run directory.
        path: PathBuf,
        /// Keys with both values.
        difference: String,
    },
    /// A result that cannot be read.
    #[error("{} is damaged: {message}; remove it, and the run is scored again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        message: String,
    },
    /// A finished run without its last checkpoint.
    #[error("{} has no checkpoint to score; remove the directory, and the run is repeated", path.display())]
    NoCheckpoint {
        /// The run directory.
        path: PathBuf,
    },
}
