//! GSM8K (Cobbe et al., 2021): grade-school arithmetic in words, asked with examples before the
//! question, and scored by pass@k.
//!
//! The prompt is that of the few-shot literature (and of lm-evaluation-harness): for each example
//! `Question: Q\nAnswer: A\n\n`, with the answer as the data set has it, then
//! `Question: Q\nAnswer:`. z is inferred from the prompt alone. What is written counts up to a
//! new `Question:`; its answer is the first number after `#### `, commas removed, and it is right
//! if it is the reference's to the letter (the data set's own rule, see [`answer_of`]).
//!
//! Everything drawn is a function of (seed, sample, question), so a further sample or an
//! interruption changes nothing that was there before.

mod answer;
mod ask;
mod error;
mod pass_at_k;
mod prompt;
mod question;
mod results;
mod settings;
#[cfg(test)]
mod tests;

pub use answer::answer_of;
pub use ask::{Ask, LatentsFor, Progress};
pub use error::Gsm8kError;
pub use pass_at_k::{PassAtK, Tally, pass_at_k};
pub use prompt::{Prompts, Shots};
pub use question::{Question, read_questions};
pub use results::{Answer, Results};
pub use settings::{Settings, hash_of_questions};
