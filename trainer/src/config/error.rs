//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

use super::Origin;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
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
    /// A key that no setting has.
    #[error("{origin}: unknown key `{key}`{}", hint(.nearest))]
    UnknownKey {
        /// Where.
        origin: Origin,
        /// The key as written, dotted.
        key: String,
        /// The most similar known key, if any is similar.
        nearest: Option<String>,
    },
    /// A `--set` argument that is not `key=value`.
    #[error("--set {argument}: expected KEY=VALUE, for example --set train.batch=8")]
    NotAnAssignment {
        /// The argument.
        argument: String,
    },
    /// A value of the wrong type or outside an enumeration.
    #[error("{origin}: `{key} = {value}`: {expected}")]
    WrongValue {
        /// Where.
        origin: Origin,
        /// The dotted key.
        key: String,
        /// The value as written.
        value: String,
        /// What the key takes.
        expected: String,
    },
    /// Values that are well-formed but cannot work.
    #[error("the configuration cannot be used:{}", list(.0))]
    Invalid(Vec<Problem>),
    /// No preset has this name.
    #[error("unknown preset `{name}`; expected one of {known}")]
    UnknownPreset {
        /// The name asked for.
        name: String,
        /// The names there are, comma-separated.
        known: String,
    },
    /// The configuration cannot be expressed in TOML.
    #[error("the configuration cannot be written as TOML: {0}")]
    Unwritable(String),
}

/// One value that cannot work.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The dotted key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What it would have to be.
    pub expected: String,
    /// Where it was written.
    pub origin: Origin,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, expected, origin } = self;
        write!(f, "`{key} = {value}` ({origin}): expected {expected}")
    }
}

fn hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(key) => format!("; did you mean `{key}`?"),
        None => "; keys are written as `train.batch`, in the sections model, posterior, fast, \
                 slow and train"
            .to_owned(),
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}
