//! What the results depend on.

use ltm_engine::{Device, DeviceExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Question;
use crate::Result;
use crate::model::Parameters;

/// Everything that the answer to (question, sample) depends on. How many samples, questions or
/// texts at once, and on how many threads, is no part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Version of the file of results.
    pub format: u32,
    /// [`hash_of_weights`].
    pub weights: String,
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

/// A fingerprint of questions and answers. It tells a changed file; it is no guard against
/// deceit.
pub fn hash_of_questions(questions: &[Question]) -> String {
    let mut hash = Fnv::new();
    for Question { question, answer, .. } in questions {
        for text in [question, answer] {
            hash.add(text.len() as u64);
            text.bytes().for_each(|byte| hash.add(byte.into()));
        }
    }
    hash.text()
}

/// A fingerprint of the weights, likewise.
///
/// # Errors
/// If the device fails.
pub fn hash_of_weights(device: &mut dyn Device, parameters: &Parameters) -> Result<String> {
    let mut hash = Fnv::new();
    for entry in parameters.layout.entries() {
        let values: Vec<f32> = device.read(&parameters.values.slice(entry.range.clone())?)?;
        values.iter().for_each(|value| hash.add(value.to_bits().into()));
    }
    Ok(hash.text())
}

/// FNV-1a over words in place of bytes.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        // The multiplication moves nothing downwards, and a word is wider than a byte.
        self.0 ^= self.0 >> 32;
    }

    fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}
