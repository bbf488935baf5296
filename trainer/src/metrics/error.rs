//! What can go wrong with a file of lines.

use std::io;
use std::path::PathBuf;

/// Why a file of lines cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A line other than the last is not what it should be.
    #[error(
        "{}:{line}: not a record of this file: {message}; remove the line or restore the file",
        path.display()
    )]
    BrokenLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
}
