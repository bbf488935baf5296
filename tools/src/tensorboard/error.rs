use std::io;
use std::path::PathBuf;

/// Why an event file could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory or the file in it could not be made.
    #[error("{}: cannot create the event file: {source}", path.display())]
    Create {
        /// What was to be made.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Records did not reach the file.
    #[error("{}: cannot write to the event file: {source}", path.display())]
    Write {
        /// The event file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}
