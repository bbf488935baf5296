//! What can go wrong in asking questions.

use std::path::PathBuf;

/// Why questions cannot be asked or their answers not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Gsm8kError {
    /// A file of questions cannot be read.
    #[error(transparent)]
    File(#[from] ltm_tools::Error),
    /// A line is no question.
    #[error("{} line {line}: {reason}", path.display())]
    Question {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected.
        reason: String,
    },
    /// There are too few questions.
    #[error("{}: {found} questions; expected at least {expected}", path.display())]
    TooFew {
        /// The file.
        path: PathBuf,
        /// Questions there are.
        found: usize,
        /// Questions needed.
        expected: usize,
    },
    /// A question with its examples is too long.
    #[error(
        "line {line}: the question with {shots} example(s) has {tokens} tokens; expected \
         at most model.max_seq_len = {most}: take fewer with --shots, or let --drop-shots \
         leave out as many as needed"
    )]
    TooLong {
        /// The line of the question.
        line: usize,
        /// Examples before it.
        shots: usize,
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that fit.
        most: usize,
    },
    /// A value out of its range.
    #[error("{name} = {value}; expected {expected}")]
    Setting {
        /// What it is.
        name: &'static str,
        /// Its value.
        value: String,
        /// Values that work.
        expected: String,
    },
    /// The results were made under other settings.
    #[error(
        "{}: these results were made with other settings: {changes}; keep the settings to go on, \
         or write to another file with --out",
        path.display()
    )]
    Changed {
        /// The file of results.
        path: PathBuf,
        /// The settings with both values.
        changes: String,
    },
    /// The results are damaged.
    #[error("{} line {line}: {reason}; write to another file with --out", path.display())]
    Results {
        /// The file of results.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Another process writes the results.
    #[error(
        "{}: another ltm gsm8k is writing this file; wait for it, or write to another file with \
         --out",
        path.display()
    )]
    Locked {
        /// The file of results.
        path: PathBuf,
    },
    /// The results cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file of results.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl Gsm8kError {
    pub(super) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
