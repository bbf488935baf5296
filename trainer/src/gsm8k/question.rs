//! Questions from a file.

use std::path::Path;

use ltm_tools::text::read_lines;

use super::{Gsm8kError, answer_of};
use crate::generate::string_of;

/// A question with its reference answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Line of its file, from 1.
    pub line: usize,
    /// The question.
    pub question: String,
    /// The reasoning, and the answer after `#### `.
    pub answer: String,
    /// The answer itself; see [`answer_of`].
    pub gold: String,
}

/// Reads the data set's JSON lines, `{"question": ..., "answer": ...}`; the name may end in `.gz`,
/// `.zst` or `.xz`. Blank lines are passed over.
///
/// # Errors
/// A file that cannot be read or has fewer than `least` questions, or a line that is no question.
pub fn read_questions(path: &Path, least: usize) -> Result<Vec<Question>, Gsm8kError> {
    let mut questions = Vec::new();
    for (index, text) in read_lines(path)?.into_iter().enumerate() {
        if text.trim().is_empty() {
            continue;
        }
        let line = index + 1;
        let bad = |reason: String| Gsm8kError::Question { path: path.to_owned(), line, reason };
        let question = string_of(&text, "question").map_err(bad)?;
        let answer = string_of(&text, "answer").map_err(bad)?;
        if question.trim().is_empty() {
            return Err(bad("field \"question\" is empty".to_owned()));
        }
        let gold = answer_of(&answer)
            .ok_or_else(|| bad("field \"answer\" has no number after \"#### \"".to_owned()))?;
        questions.push(Question { line, question, answer, gold });
    }
    match questions.len() {
        found if found < least => {
            Err(Gsm8kError::TooFew { path: path.to_owned(), found, expected: least })
        }
        _ => Ok(questions),
    }
}
