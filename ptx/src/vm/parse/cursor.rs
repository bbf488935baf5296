//! A place in the tokens, and what all parts of the grammar ask of it.

use super::error::{ParseError, ParseErrorKind};
use super::lexer::{Kind, Token, error_at, tokens};
use super::literal;

/// Where the parser stands.
pub struct Cursor<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    /// What is being read, for the report of a cut text.
    inside: &'static str,
}

impl<'a> Cursor<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a str) -> Result<Self, ParseError> {
        Ok(Self { text, tokens: tokens(text)?, at: 0, inside: "a module" })
    }

    /// Says what is being read from here on.
    pub fn enter(&mut self, inside: &'static str) {
        self.inside = inside;
    }

    /// The next token, left in place.
    pub fn peek(&self) -> Token<'a> {
        // The last token is the end, which `next` never passes.
        self.tokens[self.at]
    }

    /// The token after the next.
    pub fn peek_second(&self) -> Token<'a> {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)]
    }

    /// Takes the next token; the end stays.
    pub fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    /// Error at `line`.
    pub fn error(&self, line: u32, kind: ParseErrorKind) -> ParseError {
        error_at(self.text, line, kind)
    }

    /// Error of a token that is not what was expected.
    pub fn unexpected(&self, token: Token<'_>, expected: &'static str) -> ParseError {
        let kind = match token.kind {
            Kind::End => ParseErrorKind::Truncated { inside: self.inside, expected },
            Kind::Text => ParseErrorKind::Syntax { found: format!("{:?}", token.text), expected },
            _ => ParseErrorKind::Syntax { found: format!("`{}`", token.text), expected },
        };
        self.error(token.line, kind)
    }

    /// Error of PTX that is correct but not run here.
    pub fn unsupported(&self, line: u32, what: impl Into<String>) -> ParseError {
        self.error(line, ParseErrorKind::Unsupported(what.into()))
    }

    /// Error of a name that nothing declares.
    pub fn undefined(&self, line: u32, what: &'static str, name: &str) -> ParseError {
        self.error(line, ParseErrorKind::Undefined { what, name: name.to_owned() })
    }

    /// Error of a name that is declared twice.
    pub fn duplicate(&self, line: u32, what: &'static str, name: &str) -> ParseError {
        self.error(line, ParseErrorKind::Duplicate { what, name: name.to_owned() })
    }

    /// Error of a number that does not fit.
    pub fn number_error(&self, line: u32, found: &str, expected: &'static str) -> ParseError {
        self.error(line, ParseErrorKind::Number { found: found.to_owned(), expected })
    }

    /// Whether the next token is this mark.
    pub fn at_mark(&self, mark: &str) -> bool {
        let token = self.peek();
        token.kind == Kind::Mark && token.text == mark
    }

    /// Takes the mark if it is next.
    pub fn take_mark(&mut self, mark: &str) -> bool {
        let there = self.at_mark(mark);
        self.at += usize::from(there);
        there
    }

    /// Takes the mark; `expected` says it in words.
    pub fn mark(&mut self, mark: &str, expected: &'static str) -> Result<(), ParseError> {
        if self.take_mark(mark) { Ok(()) } else { Err(self.unexpected(self.peek(), expected)) }
    }

    /// Takes the word if it is next.
    pub fn take_word(&mut self, word: &str) -> bool {
        let token = self.peek();
        let there = token.kind == Kind::Word && token.text == word;
        self.at += usize::from(there);
        there
    }

    /// Takes a word that is no directive.
    pub fn name(&mut self, expected: &'static str) -> Result<Token<'a>, ParseError> {
        let token = self.peek();
        if token.kind != Kind::Word || token.text.starts_with('.') {
            return Err(self.unexpected(token, expected));
        }
        Ok(self.next())
    }

    /// Takes a quoted text.
    pub fn quoted(&mut self, expected: &'static str) -> Result<&'a str, ParseError> {
        let token = self.peek();
        if token.kind != Kind::Text {
            return Err(self.unexpected(token, expected));
        }
        Ok(self.next().text)
    }

    /// Takes an integer without a sign.
    pub fn unsigned(&mut self, expected: &'static str) -> Result<u64, ParseError> {
        let token = self.peek();
        if token.kind != Kind::Number {
            return Err(self.unexpected(token, expected));
        }
        self.next();
        literal::integer(token.text)
            .ok_or_else(|| self.number_error(token.line, token.text, expected))
    }

    /// Takes an integer without a sign that fits 32 bits.
    pub fn unsigned32(&mut self, expected: &'static str) -> Result<u32, ParseError> {
        let token = self.peek();
        let value = self.unsigned(expected)?;
        u32::try_from(value).map_err(|_| self.number_error(token.line, token.text, expected))
    }
}
