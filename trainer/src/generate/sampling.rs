//! How the next token is chosen.

use super::GenerateError;

/// How text is drawn. The default draws from the model as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most probable token. Default 1.
    pub temperature: f32,
    /// Most probable tokens to draw from; 0 keeps all. Default 0.
    pub top_k: usize,
    /// Probability of the smallest set of most probable tokens to draw from, in `(0, 1]`.
    /// Default 1.
    pub top_p: f32,
    /// Key of the random numbers: of the latents and of the tokens. Default 1.
    pub seed: u64,
    /// Tokens to draw at most. Default 256.
    pub max_tokens: usize,
    /// Token that ends the text, and is not part of it. Default none.
    pub end: Option<i32>,
    /// Ids from here on are never drawn: set it to the tokenizer's, where the model has spare
    /// rows. Default none, which allows all of the model's.
    pub vocab: Option<usize>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            seed: 1,
            max_tokens: 256,
            end: None,
            vocab: None,
        }
    }
}

impl Sampling {
    /// Checks every value, for a model with `rows` token ids, and resolves `vocab`.
    pub(super) fn check(&self, rows: usize) -> Result<usize, GenerateError> {
        let wrong = |name, value: &dyn ToString, expected: &str| {
            Err(GenerateError::Setting {
                name,
                value: value.to_string(),
                expected: expected.to_owned(),
            })
        };
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            let expected = "a finite number, 0 or above";
            return wrong("temperature", &self.temperature, expected);
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return wrong("top_p", &self.top_p, "above 0, up to 1");
        }
        let vocab = self.vocab.unwrap_or(rows);
        if !(1..=rows).contains(&vocab) {
            let expected = format!("1 to model.vocab_size = {rows}");
            return wrong("vocab", &vocab, &expected);
        }
        Ok(vocab)
    }
}
