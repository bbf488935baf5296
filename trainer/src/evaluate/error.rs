//! What can go wrong in evaluation.

/// Why an evaluation gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// No window was asked for.
    #[error("no sequence to evaluate; expected at least one window")]
    NoSequences,
    /// The source answered with windows of another length.
    #[error("{found} tokens in {windows} windows; expected {expected}, {seq} in each")]
    Length {
        /// Tokens or targets that came.
        found: usize,
        /// Windows asked for.
        windows: usize,
        /// Tokens of so many windows.
        expected: usize,
        /// Tokens per window.
        seq: usize,
    },
    /// Every target that z may see is ignored.
    #[error("window {window} has no target to score; expected at least one that is not negative")]
    NoTargets {
        /// The window.
        window: u64,
    },
    /// The part that z sees leaves nothing to predict, or is empty.
    #[error("a context of {context} tokens in sequences of {seq}; expected 1 to {}", seq.saturating_sub(1))]
    Context {
        /// Tokens asked for.
        context: usize,
        /// Tokens per sequence.
        seq: usize,
    },
    /// Blocks that leave nothing to predict from, or are empty.
    #[error("blocks of {block} tokens in sequences of {seq}; expected 1 to {}", seq.saturating_sub(1))]
    Block {
        /// Tokens asked for.
        block: usize,
        /// Tokens per sequence.
        seq: usize,
    },
    /// No draw of z was asked for.
    #[error("0 draws of z; expected at least 1")]
    NoSamples,
    /// No sequence is long enough.
    #[error(
        "no sequence has a token left to score where z has seen {}; take longer texts, or let z \
         see less", view.words()
    )]
    NothingToScore {
        /// What z was to see.
        view: super::View,
    },
    /// A text set gives no sequence.
    #[error("{}: {detail}", path.display())]
    NoText {
        /// File or directory.
        path: std::path::PathBuf,
        /// What there is, what was expected, and what to do.
        detail: String,
    },
    /// A score is not a number.
    #[error(
        "window {window}: the {what} is {value}; the weights are damaged, or the fast loop \
         diverged"
    )]
    NotFinite {
        /// The window.
        window: u64,
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
}
