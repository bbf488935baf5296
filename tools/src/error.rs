//! The one error type of the text, tokenizer and shard modules.

use std::io;
use std::path::{Path, PathBuf};

use crate::text::{Place, SkipReason};

/// Everything that can go wrong between a text file and its shards.
///
/// Each message names the file (and line, row or archive member), says what
/// was expected and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operating-system call failed on `path`.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb phrase: "open", "write".
        action: &'static str,
        /// The file or directory it was tried on.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    // input text
    /// The name does not say what the file holds.
    #[error(
        "{place}: cannot tell the format from the name; expected .txt, .jsonl, .json, .tar \
         (each alone or with .gz, .zst or .xz) or .parquet: rename the file"
    )]
    UnknownExtension {
        /// The file or archive member.
        place: Place,
    },
    /// A format that cannot be read where it was found.
    #[error("{place}: {what}")]
    Unsupported {
        /// The file or archive member.
        place: Place,
        /// Why, and what to do instead.
        what: &'static str,
    },
    /// Not one document came out of the inputs.
    #[error("no document in {inputs}: expected at least one non-empty text")]
    NoDocuments {
        /// The inputs as they were given.
        inputs: String,
    },
    /// The bytes end early or a checksum fails.
    #[error(
        "{place}: the data cannot be read ({source}); it is probably cut short or damaged: \
         fetch the file again, or skip it with --skip-bad"
    )]
    Unreadable {
        /// Where reading stopped.
        place: Place,
        /// The decoder's answer.
        source: io::Error,
    },
    /// Text that is not UTF-8.
    #[error(
        "{place}: not valid UTF-8 at byte {byte} of the line; convert the file to UTF-8, or \
         skip it with --skip-bad"
    )]
    InvalidUtf8 {
        /// The line or row.
        place: Place,
        /// Zero-based offset of the first bad byte, within the line (or the row's value).
        byte: usize,
    },
    /// A line of a list that is not UTF-8.
    #[error(
        "{} line {line}: not valid UTF-8 at byte {byte} of the line; convert the file to UTF-8",
        path.display()
    )]
    LineEncoding {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Zero-based offset of the first bad byte.
        byte: usize,
    },
    /// A line that is not one JSON object.
    #[error(
        "{place}: expected one JSON object on the line, but {reason}; mend the line, or skip it \
         with --skip-bad"
    )]
    BrokenJson {
        /// The line.
        place: Place,
        /// The parser's answer.
        reason: String,
    },
    /// The object has no such field.
    #[error(
        "{place}: no field \"{field}\"; the line has {found}: name the field that holds the text \
         with --field, or skip such lines with --skip-bad"
    )]
    MissingField {
        /// The line.
        place: Place,
        /// The field asked for.
        field: String,
        /// The fields there are.
        found: String,
    },
    /// The field holds something other than a string.
    #[error(
        "{place}: field \"{field}\" holds {found}, expected a string; mend the line, or skip it \
         with --skip-bad"
    )]
    NotText {
        /// The line or row.
        place: Place,
        /// The field or column asked for.
        field: String,
        /// What it holds instead.
        found: &'static str,
    },
    /// A line, or a stretch of text without a cut point, beyond the bound on memory.
    #[error(
        "{place}: {what} is longer than {limit} bytes, which no text has; check the file, or \
         skip it with --skip-bad"
    )]
    TooLong {
        /// The line.
        place: Place,
        /// What is too long.
        what: &'static str,
        /// The bound in bytes.
        limit: usize,
    },
    /// A parquet file the library refuses.
    #[error("{place}: not a readable parquet file ({reason})")]
    Parquet {
        /// The file or row.
        place: Place,
        /// The library's answer.
        reason: String,
    },
    /// The parquet file has no such column, or it is not one of strings.
    #[error(
        "{place}: no column \"{column}\" of strings; the file has {found}: name the column that \
         holds the text with --field"
    )]
    MissingColumn {
        /// The file.
        place: Place,
        /// The column asked for.
        column: String,
        /// The columns there are, with their types.
        found: String,
    },

    // tokenizers
    /// No tokenizer has this name.
    #[error("unknown tokenizer \"{name}\": expected gpt2 or bytes")]
    UnknownTokenizer {
        /// The name given.
        name: String,
    },
    /// No detokenizer has this name.
    #[error("unknown detokenizer \"{name}\": expected none, ptb, wikitext, lm1b or lambada")]
    UnknownDetokenizer {
        /// The name given.
        name: String,
    },
    /// The embedded GPT-2 vocabulary is not what it should be.
    #[error("the embedded GPT-2 vocabulary is damaged ({reason}): rebuild the program")]
    Vocabulary {
        /// What is wrong with it.
        reason: String,
    },
    /// An id that the tokenizer does not have.
    #[error(
        "token {token} at position {position} is outside the vocabulary of {vocab_size}: was the \
         text tokenized with another tokenizer?"
    )]
    UnknownToken {
        /// The id.
        token: u32,
        /// Zero-based position in the list of tokens.
        position: usize,
        /// Ids must be below this.
        vocab_size: u32,
    },
    /// The directory has no `tokenizer.json`.
    #[error(
        "{}: no tokenizer.json, so its shards were not completed; run `ltm tokenize` into it \
         again (with --overwrite), or write the file by hand for shards made elsewhere: \
         {{\"tokenizer\":\"gpt2\",\"vocab_size\":50257,\"end_of_text\":50256}}",
        dir.display()
    )]
    IncompleteDirectory {
        /// The shard directory.
        dir: PathBuf,
    },
    /// `tokenizer.json` is there but wrong.
    #[error("{}: {reason}; expected {{\"tokenizer\": \"gpt2\" or \"bytes\", \"vocab_size\": ..., \"end_of_text\": ...}}", path.display())]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    // shards
    /// The shard holds no token.
    #[error("{}: the shard is empty; delete it, or tokenize again", path.display())]
    EmptyShard {
        /// The shard.
        path: PathBuf,
    },
    /// The file's size contradicts its header.
    #[error(
        "{}: the header promises {expected} bytes and the file has {found}; it is cut short or \
         damaged: copy it again, or tokenize again",
        path.display()
    )]
    ShardSize {
        /// The shard.
        path: PathBuf,
        /// Header and tokens, in bytes.
        expected: u64,
        /// Size of the file in bytes.
        found: u64,
    },
    /// Not a shard of this format.
    #[error("{}: not a token shard this program reads: {reason}", path.display())]
    ShardFormat {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// No shard of a split.
    #[error(
        "{}: no {split} shard (expected {split}_000000.bin and so on); tokenize text into it \
         first: ltm tokenize INPUT... --out {}",
        path.display(), path.display()
    )]
    NoShards {
        /// The directory.
        path: PathBuf,
        /// `train` or `val`.
        split: &'static str,
    },
    /// A token id too large for the model.
    #[error(
        "{}: token {token} at position {position} is outside the vocabulary of {vocab_size}: the \
         shard was made with another tokenizer",
        path.display()
    )]
    OutOfVocabulary {
        /// The shard.
        path: PathBuf,
        /// Zero-based position in tokens.
        position: u64,
        /// The id found there.
        token: u16,
        /// Ids must be below this.
        vocab_size: u32,
    },
    /// The directory already holds shards.
    #[error(
        "{}: already holds {found}; choose another directory, or say --overwrite to replace them",
        dir.display()
    )]
    DirectoryInUse {
        /// The output directory.
        dir: PathBuf,
        /// One of the files in the way.
        found: String,
    },
    /// Another process is writing into the directory.
    #[error("{}: another process is writing shards here; wait for it", dir.display())]
    DirectoryLocked {
        /// The output directory.
        dir: PathBuf,
    },

    // the pipeline
    /// An option outside its range.
    #[error("{option} is {found}, expected {expected}")]
    BadOption {
        /// The option's name.
        option: &'static str,
        /// Its value.
        found: String,
        /// The values allowed.
        expected: &'static str,
    },
    /// As many validation documents were asked for as there are.
    #[error(
        "val_docs is {val_docs} and the inputs hold {documents} documents, which leaves none to \
         train on: ask for fewer"
    )]
    NothingToTrainOn {
        /// Validation documents asked for.
        val_docs: u64,
        /// Documents found.
        documents: u64,
    },
    /// The cancel flag was raised.
    #[error("stopped before the end; nothing was published")]
    Cancelled,
    /// An encoding thread ended without an answer.
    #[error("an encoding thread ended early; this is a bug, please report it")]
    WorkerLost,
}

impl Error {
    /// Wraps an I/O error with what was tried, for use in `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { action, path: path.to_path_buf(), source }
    }

    /// Why a document with this error may be left out, or `None` if the error
    /// is not about one document and must stop the run.
    pub fn skip_reason(&self) -> Option<SkipReason> {
        Some(match self {
            Error::Unreadable { .. } | Error::Parquet { .. } => SkipReason::Unreadable,
            Error::InvalidUtf8 { .. } => SkipReason::InvalidUtf8,
            Error::BrokenJson { .. } => SkipReason::BrokenJson,
            Error::MissingField { .. } => SkipReason::MissingField,
            Error::NotText { .. } => SkipReason::NotText,
            Error::TooLong { .. } => SkipReason::TooLong,
            _ => return None,
        })
    }
}
