//! Drawing the next token.

use super::check;
use crate::philox::Stream;
use crate::{Buffer, Result};

/// Draws one token per row from `softmax(logits / temperature)`, cut to the `top_k` most
/// probable tokens and then to the smallest set whose probability reaches `top_p`.
/// Equal logits rank by token id, so the draw is a function of its arguments alone.
#[derive(Debug)]
pub struct Sample<'a> {
    /// `[rows, vocab]` storage.
    pub logits: &'a Buffer,
    /// `[rows]` i32, overwritten.
    pub tokens: &'a Buffer,
    /// Rows.
    pub rows: usize,
    /// Logits per row.
    pub vocab: usize,
    /// 0 takes the most probable token.
    pub temperature: f32,
    /// 0 keeps all tokens.
    pub top_k: usize,
    /// In `(0, 1]`; 1 keeps all tokens.
    pub top_p: f32,
    /// Row `r` draws `uniform(position)` of this stream with `sample = stream.sample + r`.
    pub stream: Stream,
    /// Position of the token that is drawn.
    pub position: u32,
}

impl Sample<'_> {
    /// Extents, types and ranges.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "sample";
        let t = check::storage(OP, "logits", self.logits)?;
        check::buffer(OP, "logits", self.logits, t, self.rows * self.vocab)?;
        check::integers(OP, "tokens", self.tokens, self.rows)?;
        check::value(OP, self.vocab > 0, || "an empty vocabulary".into())?;
        check::value(OP, self.temperature >= 0.0 && self.temperature.is_finite(), || {
            format!("temperature is {}, expected 0 or more", self.temperature)
        })?;
        check::value(OP, self.top_p > 0.0 && self.top_p <= 1.0, || {
            format!("top_p is {}, expected a number in (0, 1]", self.top_p)
        })?;
        check::distinct(OP, &[self.tokens], &[self.logits])
    }
}
