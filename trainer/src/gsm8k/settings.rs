//! What the results depend on.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Question;

/// Everything that the answer to (question, sample) depends on. How many samples, questions or
/// texts at once, and on how many threads, is no part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Version of the file of results.
    pub format: u32,
    /// [`crate::latents::fingerprint`] of the model.
    pub model: String,
    /// [`hash_of_questions`] of all questions of the file.
    pub questions: String,
    /// [`hash_of_questions`] of the examples.
    pub examples: String,
    /// Number of examples.
    pub shots: usize,
    /// Whether examples may be left out.
    pub drop_shots: bool,
    /// Where z comes from: `prior`, `question` or `sample`.
    pub latents: String,
    /// Settings of the fast loop, where z is inferred.
    pub fast: Option<Value>,
    /// See [`crate::generate::Sampling`]; its [`crate::generate::decimal`].
    pub temperature: f64,
    /// As above.
    pub top_k: usize,
    /// As above.
    pub top_p: f64,
    /// As above.
    pub min_p: f64,
    /// As above.
    pub max_tokens: usize,
    /// As above.
    pub seed: u64,
}

impl Settings {
    /// The present version of the file of results.
    pub const FORMAT: u32 = 1;

    /// The settings that differ, with both values; empty if none does.
    pub(super) fn changes(&self, now: &Self) -> String {
        let values = |settings: &Self| match serde_json::to_value(settings) {
            Ok(Value::Object(values)) => values,
            _ => serde_json::Map::new(),
        };
        let (was, now) = (values(self), values(now));
        let changed = was.iter().filter(|&(name, was)| now.get(name) != Some(was));
        let told: Vec<String> = changed
            .map(|(name, was)| {
                format!("{name} was {was}, is now {}", now.get(name).unwrap_or(&Value::Null))
            })
            .collect();
        told.join("; ")
    }
}

/// SHA-256 of questions and answers, hexadecimal.
pub fn hash_of_questions(questions: &[Question]) -> String {
    let mut hash = Sha256::new();
    for Question { question, answer, .. } in questions {
        for text in [question, answer] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
