//! Undoing the tokenization of old evaluation sets.
//!
//! Penn Treebank, WikiText and One Billion Words come as words between blanks, with punctuation
//! cut off and their own marks in it. Published zero-shot figures of language models that were
//! trained on running text apply a few rewritings first, the same in all of them; so do these.
//! Each set has its rules in a file of its own, applied in order.

mod lambada;
mod lm1b;
mod ptb;
mod wikitext;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;

use crate::Error;

/// Which set's tokenization to undo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Detokenizer {
    /// Leaves text as it is.
    #[default]
    None,
    /// Penn Treebank, Mikolov's preparation.
    Ptb,
    /// WikiText-2 and -103.
    WikiText,
    /// One Billion Words.
    Lm1b,
    /// LAMBADA, as it was released for GPT-2: quotation marks, and a line end before the passage.
    Lambada,
}

impl Detokenizer {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::None, Self::Ptb, Self::WikiText, Self::Lm1b, Self::Lambada];

    /// The name on the command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ptb => "ptb",
            Self::WikiText => "wikitext",
            Self::Lm1b => "lm1b",
            Self::Lambada => "lambada",
        }
    }

    /// A document as running text.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::Ptb => Cow::Owned(apply(&ptb::RULES, text)),
            Self::WikiText => Cow::Owned(apply(&wikitext::RULES, text)),
            Self::Lm1b => Cow::Owned(apply(&lm1b::RULES, text)),
            Self::Lambada => Cow::Owned(lambada::detokenize(text)),
        }
    }
}

impl fmt::Display for Detokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Detokenizer {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|detokenizer| detokenizer.name() == name);
        found.ok_or_else(|| Error::UnknownDetokenizer { name: name.to_owned() })
    }
}

/// A rewriting of every place that it fits, from left to right.
enum Rule {
    /// One text by another.
    Text(&'static str, &'static str),
    /// What a pattern matches; `$1` stands for what is in its brackets.
    Pattern(LazyLock<Regex>, &'static str),
}

impl Rule {
    /// Compiled when it is first used.
    const fn pattern(compile: fn() -> Regex, to: &'static str) -> Self {
        Self::Pattern(LazyLock::new(compile), to)
    }
}

/// [`Rule::pattern`] of a literal.
macro_rules! pattern {
    ($pattern:literal, $to:literal) => {{
        fn compile() -> regex::Regex {
            regex::Regex::new($pattern).expect("a pattern that the tests have compiled")
        }
        Rule::pattern(compile, $to)
    }};
}
use pattern;

fn apply(rules: &[Rule], text: &str) -> String {
    rules.iter().fold(text.to_owned(), |text, rule| match rule {
        Rule::Text(from, to) => text.replace(from, to),
        Rule::Pattern(pattern, to) => pattern.replace_all(&text, *to).into_owned(),
    })
}

#[cfg(test)]
mod tests;
