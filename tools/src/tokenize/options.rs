//! The settings of a run.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use crate::Error;
use crate::tokenizer::TokenizerKind;

/// How to make shards.
#[derive(Clone, Debug)]
pub struct TokenizeOptions {
    /// The tokenizer (default GPT-2's).
    pub tokenizer: TokenizerKind,
    /// The JSON field or parquet column that holds the text (default "text").
    pub field: String,
    /// The last so many documents become validation shards (default 0).
    pub val_docs: u64,
    /// Tokens in a full shard (default 100 million, 200 MB).
    pub tokens_per_shard: u64,
    /// Leave out and count what cannot be read, instead of failing (default no).
    pub skip_bad: bool,
    /// Encoding threads; 0 means one a core (default). One more reads, and the caller's writes.
    pub threads: usize,
    /// Replace the shards in the output directory (default no).
    pub overwrite: bool,
    /// Set it to true, from a Ctrl-C handler say, to stop with [`Error::Cancelled`].
    pub cancel: Arc<AtomicBool>,
}

impl Default for TokenizeOptions {
    fn default() -> Self {
        Self {
            tokenizer: TokenizerKind::Gpt2,
            field: "text".to_owned(),
            val_docs: 0,
            tokens_per_shard: 100_000_000,
            skip_bad: false,
            threads: 0,
            overwrite: false,
            cancel: Arc::default(),
        }
    }
}

/// More threads than any machine has cores; a typing error otherwise.
const MOST_THREADS: usize = 1024;

impl TokenizeOptions {
    /// The number of encoding threads meant.
    pub(super) fn encoding_threads(&self) -> Result<usize, Error> {
        match self.threads {
            0 => Ok(thread::available_parallelism().map_or(1, |cores| cores.get())),
            threads if threads <= MOST_THREADS => Ok(threads),
            threads => Err(Error::BadOption {
                option: "threads",
                found: threads.to_string(),
                expected: "0 (one a core) to 1024",
            }),
        }
    }
}
