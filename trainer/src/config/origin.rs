//! Where a setting was written, for error messages.

use std::fmt;
use std::path::PathBuf;

/// The place a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The defaults of the program.
    Default,
    /// A preset of this name.
    Preset(&'static str),
    /// A line, counted from 1, of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// A `--set` on the command line.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Set => f.write_str("--set"),
        }
    }
}
