//! What can be wrong with a request for text.

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// There is nothing to continue.
    #[error(
        "generation starts from at least one token; give the end-of-text token to start a new \
         document"
    )]
    NoStart,
    /// A posterior needs something to predict.
    #[error(
        "a prompt of {tokens} token(s) has nothing to infer z from; expected at least 2 tokens, \
         or z from the prior"
    )]
    PromptTooShort {
        /// Tokens of the prompt.
        tokens: usize,
    },
    /// The model was never trained to infer z from so much.
    #[error(
        "a prompt of {tokens} tokens; z can be inferred from at most model.max_seq_len = {most}: \
         shorten the prompt"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of the longest one.
        most: usize,
    },
    /// An id that the model has no row for.
    #[error("token {token} at place {place} of the prompt; expected 0 to {}", vocab - 1)]
    UnknownToken {
        /// Place in the prompt, from 0.
        place: usize,
        /// The id.
        token: i32,
        /// Ids of the model.
        vocab: usize,
    },
    /// Latents of another shape.
    #[error(
        "{found} numbers of latents; this model has {latents} latents of {width} numbers, {} in \
         all: they are those of another model", latents * width
    )]
    Latents {
        /// Numbers given.
        found: usize,
        /// Latents of the model.
        latents: usize,
        /// Numbers of each.
        width: usize,
    },
    /// Latents that are no numbers.
    #[error("number {place} of the latents is {value}; expected finite numbers")]
    NotFinite {
        /// Place among the numbers.
        place: usize,
        /// The number.
        value: f32,
    },
    /// A setting out of its range.
    #[error("{name} = {value}; expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// Values that work.
        expected: String,
    },
}
