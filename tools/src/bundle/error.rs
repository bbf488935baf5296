//! What can go wrong while a bundle is packed, run or read.

use std::io;
use std::path::{Path, PathBuf};

/// Errors of the bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb: "read".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A program that packing or running needs is not there.
    #[error("cannot start {program}: {source}; {hint}")]
    Program {
        /// Its name.
        program: String,
        /// The system's answer.
        source: io::Error,
        /// What it is for and where it comes from.
        hint: &'static str,
    },
    /// A program that packing needs failed.
    #[error("{command} failed: {detail}")]
    Failed {
        /// The command.
        command: String,
        /// The end of what it said.
        detail: String,
    },
    /// Cargo built no such executable.
    #[error("cargo built no {what} named {name}; was it renamed?")]
    NotBuilt {
        /// "program", "test suite", "benchmark".
        what: &'static str,
        /// The target's name.
        name: &'static str,
    },
    /// The folder holds something else.
    #[error("{} exists and is no bundle; remove it, or choose another --out", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is larger than what may be carried.
    #[error("the bundle has {size} bytes, {limit} are allowed; the largest: {largest}")]
    TooLarge {
        /// Bytes of all files.
        size: u64,
        /// Bytes allowed.
        limit: u64,
        /// The largest files with their sizes.
        largest: String,
    },
    /// A group of steps that does not exist.
    #[error("unknown group of steps {name:?}: expected some of {known}, separated by commas")]
    UnknownGroup {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A file does not hold what it should.
    #[error("{}: {detail}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        detail: String,
    },
}

impl Error {
    /// Wraps an I/O error with what was tried, for use in `map_err`.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}
