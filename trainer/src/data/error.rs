//! What can be wrong with a corpus.

use std::path::PathBuf;

/// Why a corpus cannot be trained on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Missing, damaged or incomplete shards, or a token beyond the model's vocabulary.
    #[error(transparent)]
    Shards(#[from] ltm_tools::Error),
    /// There is no such directory.
    #[error("{}: no such directory; make shards with `ltm tokenize INPUT... --out {}`", dir.display(), dir.display())]
    NoDirectory {
        /// The corpus.
        dir: PathBuf,
    },
    /// The tokenizer makes ids that the model has no row for.
    #[error(
        "{}: the tokenizer {tokenizer} has {found} ids, but model.vocab_size = {vocab_size}: the \
         model is for another tokenizer; tokenize with that one, or start a run with \
         model.vocab_size at least {found}", dir.display()
    )]
    Vocabulary {
        /// The corpus.
        dir: PathBuf,
        /// Its tokenizer.
        tokenizer: &'static str,
        /// Number of its ids.
        found: u32,
        /// Number of the model's.
        vocab_size: usize,
    },
    /// The run was trained on ids of another tokenizer.
    #[error(
        "{}: tokenized with {found}, but the run was trained on {recorded}; give it a corpus made \
         with `ltm tokenize --tokenizer {recorded}`", dir.display()
    )]
    OtherTokenizer {
        /// The corpus.
        dir: PathBuf,
        /// Its tokenizer.
        found: &'static str,
        /// The run's.
        recorded: String,
    },
    /// Another number of windows than when the run was started.
    #[error(
        "{}: the corpus has {found} windows of {seq_len} tokens, but had {recorded} when the run \
         was started; resume with the corpus it was started with", dir.display()
    )]
    CorpusChanged {
        /// The corpus.
        dir: PathBuf,
        /// Tokens per window.
        seq_len: usize,
        /// Windows it has.
        found: u64,
        /// Windows the run recorded.
        recorded: u64,
    },
    /// No shard is as long as one window.
    #[error(
        "{}: the longest {split} shard has {longest} tokens, but one window needs {}; add text, or \
         set train.seq_len below {longest}", dir.display(), seq_len + 1
    )]
    TooShort {
        /// The corpus.
        dir: PathBuf,
        /// `train` or `val`.
        split: &'static str,
        /// Tokens of its longest shard.
        longest: usize,
        /// Tokens per window.
        seq_len: usize,
    },
    /// The thread that reads ahead cannot be started.
    #[error("cannot start a thread to read the corpus: {source}; see the limit of processes")]
    NoThread {
        /// Reason.
        source: std::io::Error,
    },
    /// The thread that reads ahead has ended before its time.
    #[error("the thread that reads the corpus has ended; what it said is above")]
    LostThread,
    /// Windows of no token were asked for.
    #[error("windows of 0 tokens; expected a sequence length of at least 1")]
    NoLength,
    /// A window that there is not.
    #[error("window {window} of {windows}; expected a number below the count")]
    NoSuchWindow {
        /// The window.
        window: u64,
        /// Windows there are.
        windows: u64,
    },
}

impl DataError {
    /// Whether a corpus merely lacks this split, or has too little of it for one window.
    pub(crate) fn is_absent_split(&self) -> bool {
        matches!(
            self,
            DataError::TooShort { .. } | DataError::Shards(ltm_tools::Error::NoShards { .. })
        )
    }
}
