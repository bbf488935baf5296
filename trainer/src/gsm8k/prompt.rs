//! Questions as prompts.

use ltm_tools::tokenizer::Tokenizer;

use super::{Gsm8kError, Question};

/// Examples before a question.
#[derive(Clone, Debug, Default)]
pub struct Shots {
    /// The examples, in the order in which they stand.
    pub examples: Vec<Question>,
    /// Leave out as many of the first examples as are too much for prompt and new tokens.
    pub drop: bool,
}

/// Makes prompts.
pub struct Prompts<'a> {
    /// The tokenizer of the model.
    pub tokenizer: Tokenizer,
    /// Examples before each question.
    pub shots: &'a Shots,
    /// Tokens of a prompt at most; `None` where there is nothing to infer from it.
    pub most: Option<usize>,
    /// Room that examples are dropped for, beside the prompt.
    pub new_tokens: usize,
}

/// The prompt of a question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Prompt {
    /// Begins with the end-of-text token, as every document in training.
    pub(super) tokens: Vec<i32>,
    /// Examples in it.
    pub(super) shots: usize,
}

impl Prompts<'_> {
    /// The prompt of a question.
    ///
    /// # Errors
    /// [`Gsm8kError::TooLong`].
    pub(super) fn of(&self, question: &Question) -> Result<Prompt, Gsm8kError> {
        let Some(most) = self.most else {
            return Ok(self.with(question, &self.shots.examples));
        };
        let mut examples = &self.shots.examples[..];
        loop {
            let prompt = self.with(question, examples);
            let tokens = prompt.tokens.len();
            let dropping = self.shots.drop && !examples.is_empty();
            if tokens + if dropping { self.new_tokens } else { 0 } <= most {
                return Ok(prompt);
            }
            if !dropping {
                let (line, shots) = (question.line, prompt.shots);
                return Err(Gsm8kError::TooLong { line, shots, tokens, most });
            }
            examples = &examples[1..];
        }
    }

    fn with(&self, question: &Question, examples: &[Question]) -> Prompt {
        let mut text = String::new();
        for Question { question, answer, .. } in examples {
            text += &format!("Question: {question}\nAnswer: {answer}\n\n");
        }
        text += &format!("Question: {}\nAnswer:", question.question);
        let ids = std::iter::once(self.tokenizer.end_of_text()).chain(self.tokenizer.encode(&text));
        Prompt { tokens: ids.map(|id| id as i32).collect(), shots: examples.len() }
    }
}
