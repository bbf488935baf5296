//! Texts on the terminal: the first of those that are written together token by token.

use ltm::generate::{Generated, Thought};
use ltm_tools::tokenizer::Tokenizer;

use crate::commands::output::{self, say, tell};

/// What is shown of some texts that are written together.
pub struct Show {
    on: bool,
    tokenizer: Tokenizer,
    /// Bytes of the first text that are not yet a whole character.
    pending: Vec<u8>,
    begun: bool,
}

impl Show {
    /// Shows nothing unless `on`.
    pub fn new(on: bool, tokenizer: Tokenizer) -> Self {
        Self { on, tokenizer, pending: Vec::new(), begun: false }
    }

    /// A new token of the first text.
    pub fn token(&mut self, prompt: &str, token: i32) {
        if !self.on {
            return;
        }
        self.begin(prompt);
        if let Ok(bytes) = self.tokenizer.decode_bytes(&[token as u32]) {
            self.pending.extend(bytes);
            self.print_whole_characters();
        }
    }

    /// A finished text, or what is left of it if it is the `first`.
    pub fn text(&mut self, prompt: &str, text: &Generated, first: bool) -> anyhow::Result<()> {
        if !self.on {
            return Ok(());
        }
        if first {
            self.begin(prompt);
            say!("{}", String::from_utf8_lossy(&self.pending))?;
        } else {
            let ids: Vec<u32> = text.tokens.iter().map(|&token| token as u32).collect();
            say!("{prompt}{}", self.tokenizer.decode(&ids)?)?;
        }
        let from = text.thought.iter().map(|thought| (thought, "the prompt"));
        for (thought, seen) in from.chain(text.refits.iter().map(|t| (t, "the text so far"))) {
            tell_of(thought, seen);
        }
        Ok(())
    }

    fn begin(&mut self, prompt: &str) {
        if !self.begun {
            self.begun = true;
            // As for the tokens that follow: the end of the line will tell.
            let _ = output::text(prompt);
        }
    }

    /// Prints what is complete and keeps the start of an unfinished character.
    fn print_whole_characters(&mut self) {
        let bytes = &mut self.pending;
        let whole = match std::str::from_utf8(bytes) {
            Ok(_) => bytes.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => bytes.len(),
        };
        // Nothing to do about it in the middle of a text; the end of the line will tell.
        let _ = output::text(&String::from_utf8_lossy(&bytes[..whole]));
        bytes.drain(..whole);
    }
}

fn tell_of(thought: &Thought, seen: &str) {
    if let (Some(first), Some(last)) = (thought.nll.first(), thought.nll.last()) {
        let per_token = |nats: f64| nats / thought.tokens as f64;
        tell!(
            "(z from {} fast steps on {seen}: nll {:.3} -> {:.3} nats/token)",
            thought.nll.len(),
            per_token(*first),
            per_token(*last)
        );
    }
}
