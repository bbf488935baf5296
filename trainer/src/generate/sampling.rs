//! How the next token is chosen.

use super::GenerateError;
use crate::config::ModelConfig;

/// How text is drawn. The default draws from the model as it is.
///
/// The order is: penalty, temperature, `top_k`, `top_p` of what that left, `min_p`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most probable token. Default 1.
    pub temperature: f32,
    /// Most probable tokens to draw from; 0 keeps all. Default 0.
    pub top_k: usize,
    /// Probability of the smallest set of most probable tokens to draw from, in `(0, 1]`.
    /// Default 1.
    pub top_p: f32,
    /// Tokens less probable than this times the most probable one are not drawn (Nguyen et al.,
    /// 2024), in `[0, 1]`. Default 0.
    pub min_p: f32,
    /// Divides the logits above zero of tokens that prompt or text contain, and multiplies those
    /// below (Keskar et al., 2019); 1 leaves them alone. Default 1.
    pub repetition_penalty: f32,
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
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 1,
            max_tokens: 256,
            end: None,
            vocab: None,
        }
    }
}

impl Sampling {
    /// Ids to draw from.
    pub(super) fn vocab(&self, model: &ModelConfig) -> usize {
        self.vocab.unwrap_or(model.vocab_size)
    }

    /// Whether the operation of the devices does not know these rules.
    pub(super) fn needs_host(&self) -> bool {
        self.min_p > 0.0 || self.repetition_penalty != 1.0
    }

    /// Checks every value, for a model with `rows` token ids.
    ///
    /// # Errors
    /// [`GenerateError::Setting`].
    pub fn check(&self, rows: usize) -> Result<(), GenerateError> {
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
        if !(self.min_p >= 0.0 && self.min_p <= 1.0) {
            return wrong("min_p", &self.min_p, "0 to 1");
        }
        if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
            let expected = "a finite number above 0; 1 is no penalty";
            return wrong("repetition_penalty", &self.repetition_penalty, expected);
        }
        match self.vocab {
            Some(vocab) if !(1..=rows).contains(&vocab) => {
                wrong("vocab", &vocab, &format!("1 to model.vocab_size = {rows}"))
            }
            _ => Ok(()),
        }
    }
}

/// The shortest decimal that means this number, for what people read: 0.8 where a plain
/// conversion gives 0.800000011920929.
pub fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}
