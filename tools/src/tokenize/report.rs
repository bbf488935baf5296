//! What a run tells, while it runs and after.

use std::fmt;
use std::path::PathBuf;

use crate::text::Skipped;

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Documents encoded.
    pub documents: u64,
    /// Bytes of text encoded.
    pub text_bytes: u64,
    /// Tokens written, separators included.
    pub tokens: u64,
    /// Bytes read from the input files, compressed as they are. Runs a little ahead.
    pub input_bytes: u64,
    /// Bytes of all input files.
    pub input_bytes_total: u64,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenizeReport {
    /// Documents written, validation included.
    pub documents: u64,
    /// Of these, documents in validation shards.
    pub val_documents: u64,
    /// Documents without a single byte, which were left out.
    pub empty_documents: u64,
    /// Bytes of text (UTF-8).
    pub text_bytes: u64,
    /// Tokens in training shards, separators included.
    pub train_tokens: u64,
    /// Tokens in validation shards, separators included.
    pub val_tokens: u64,
    /// The shards, training first.
    pub shards: Vec<PathBuf>,
    /// What was left out under `skip_bad`.
    pub skipped: Skipped,
    /// Files of directories and members of archives that were passed over
    /// because their name does not end as text does (the first hundred).
    pub ignored: Vec<String>,
    /// How many there were in all.
    pub ignored_count: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl TokenizeReport {
    /// Tokens in all shards.
    pub fn tokens(&self) -> u64 {
        self.train_tokens + self.val_tokens
    }
}

impl fmt::Display for TokenizeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.text_bytes as f64 / 1e6;
        write!(
            f,
            "{} documents, {megabytes:.1} MB of text, {} tokens ({} train, {} val) in {} shards, \
             {:.1} s ({:.1} MB/s)",
            self.documents,
            self.tokens(),
            self.train_tokens,
            self.val_tokens,
            self.shards.len(),
            self.seconds,
            megabytes / self.seconds.max(1e-9),
        )?;
        if self.skipped.total() > 0 {
            write!(f, "; left out: {}", self.skipped)?;
        }
        if self.empty_documents > 0 {
            write!(f, "; {} empty documents", self.empty_documents)?;
        }
        if self.ignored_count > 0 {
            write!(f, "; {} files are not text by their name", self.ignored_count)?;
        }
        Ok(())
    }
}
