use std::io;
use std::path::{Path, PathBuf};

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No run directory was given.
    #[error("no runs to report on: give at least one run directory")]
    NoRuns,
    /// A directory without metrics.
    #[error(
        "{}: not a run directory: it has no metrics.jsonl (give the directory that `ltm train --out` wrote)",
        path.display()
    )]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// A file of a run could not be read.
    #[error("{}: cannot read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A line that is not what the file should hold.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: usize,
        /// Column in the line, from 1; 0 where the parser does not say.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// The report could not be written.
    #[error("{}: cannot write the report: {source}", path.display())]
    Write {
        /// The file or directory at fault.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

impl Error {
    /// A parse error in JSON that starts on line `first_line` of `path`.
    pub(super) fn json(path: &Path, first_line: usize, error: &serde_json::Error) -> Self {
        let text = error.to_string();
        // The parser's own position counts from the start of the piece it was given.
        let message = match text.rfind(" at line ") {
            Some(end) => text[..end].to_owned(),
            None => text,
        };
        Self::Line {
            path: path.to_owned(),
            line: first_line + error.line().saturating_sub(1),
            column: error.column(),
            message,
        }
    }
}
