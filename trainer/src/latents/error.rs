//! What can go wrong with latents and their files.

use std::io;
use std::path::PathBuf;

/// Why there are no latents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LatentsError {
    /// The model has nothing to infer.
    #[error("the model has no latents (model.latents = 0); choose a run with some")]
    NoLatents,
    /// The data hold no document with a token.
    #[error("{}: no text in it; expected at least one document that is not empty", path.display())]
    NoText {
        /// What was read.
        path: PathBuf,
    },
    /// A text of no token.
    #[error("{source_name}: an empty text; expected at least one token")]
    EmptyText {
        /// What the text is called.
        source_name: String,
    },
    /// A text that must be whole is longer than a sequence of the model.
    #[error("{source_name}: {tokens} tokens; expected at most {most}: shorten the text")]
    TooLong {
        /// What the text is called.
        source_name: String,
        /// Its tokens.
        tokens: usize,
        /// Tokens of the longest sequence.
        most: usize,
    },
    /// A count that makes no sense.
    #[error("{name} is {found}; expected at least {least}")]
    TooFew {
        /// The setting.
        name: &'static str,
        /// Its value.
        found: usize,
        /// Least value.
        least: usize,
    },
    /// Inference gave no number.
    #[error(
        "{source_name}: the {what} is {value}; the weights are damaged, or the fast loop diverged"
    )]
    Diverged {
        /// The text.
        source_name: String,
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
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
    /// Something else has the name of the file to write.
    #[error(
        "{} exists and is no file of latents; give --out another name, or remove it",
        path.display()
    )]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// Not a file that `ltm encode` wrote.
    #[error("{}: no file of latents: {message}; make one with `ltm encode`", path.display())]
    NotLatents {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The file is shorter or longer than its header says.
    #[error(
        "{} has {found} bytes where its header needs {expected}: it was cut short or overwritten; \
         encode again", path.display()
    )]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// Bytes that the header accounts for.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The index does not fit the latents.
    #[error("{}: line {line} of its index: {message}; encode again", path.display())]
    BrokenIndex {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A NaN or an infinity.
    #[error(
        "{}: text {text}: element {element} of {tensor} is {value}, expected a finite number; the \
         file is damaged, encode again", path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// `mu` or `logvar`.
        tensor: &'static str,
        /// Number of the text.
        text: u64,
        /// Row-major place in its `[N, D]`.
        element: usize,
        /// The element.
        value: f32,
    },
    /// A text that the file does not have.
    #[error("{} has {texts} texts; expected an index of 0 to {}, not {index}", path.display(), texts - 1)]
    NoSuchText {
        /// The file.
        path: PathBuf,
        /// The index asked for.
        index: u64,
        /// Texts there are.
        texts: u64,
    },
    /// Latents that the model has no place for.
    #[error(
        "{} holds {found:?} numbers a text (latents, width), the model takes {expected:?}; give \
         the run that they were encoded with", path.display()
    )]
    OtherShape {
        /// The file.
        path: PathBuf,
        /// N and D of the file.
        found: [usize; 2],
        /// N and D of the model.
        expected: [usize; 2],
    },
    /// The settings of the model have no words.
    #[error("cannot put the settings of the model into words: {0}")]
    Describe(serde_json::Error),
    /// Latents that other weights inferred.
    #[error(
        "{}: latents of another model: their fingerprint is {found:.12}, that of this run is \
         {expected:.12}; give the run and the checkpoint that they were encoded with, or --force \
         to use them all the same", path.display()
    )]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// Fingerprint in the file.
        found: String,
        /// Fingerprint of the model.
        expected: String,
    },
}

impl LatentsError {
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
