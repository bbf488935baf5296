//! Cuts a PTX text into tokens.

use super::error::{ParseError, ParseErrorKind};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name, a directive or an opcode with its modifiers.
    Word,
    /// A number, without a sign.
    Number,
    /// A text in quotes, the quotes left out.
    Text,
    /// A single other character.
    Mark,
    /// The end of the text.
    End,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// From 1.
    pub line: u32,
}

const MARKS: &str = ",;:{}[]()<>@!+-|=*/%&~^?";

/// Error at a line of `text`.
pub fn error_at(text: &str, line: u32, kind: ParseErrorKind) -> ParseError {
    const LONGEST: usize = 120;
    let whole = text.lines().nth(line.saturating_sub(1) as usize).unwrap_or("").trim();
    let mut shown: String = whole.chars().take(LONGEST).collect();
    if shown.len() < whole.len() {
        shown.push_str("...");
    }
    ParseError { line, text: shown, kind }
}

/// The tokens of `text`; the last is of kind [`Kind::End`].
pub fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut found = Vec::with_capacity(text.len() / 4);
    let mut line = 1u32;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_whitespace() {
            1
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(comment) = rest.strip_prefix("/*") {
            let cut = ParseErrorKind::Truncated { inside: "a comment", expected: "`*/`" };
            2 + 2 + comment.find("*/").ok_or_else(|| error_at(text, line, cut))?
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let cut = ParseErrorKind::Truncated { inside: "a quoted text", expected: "`\"`" };
            let inner = quoted.find(['"', '\n']).filter(|&end| quoted[end..].starts_with('"'));
            let inner = inner.ok_or_else(|| error_at(text, line, cut))?;
            found.push(Token { kind: Kind::Text, text: &quoted[..inner], line });
            inner + 2
        } else {
            let (kind, length) = match first {
                '0'..='9' => (Kind::Number, number_length(rest)),
                _ if starts_word(first) && rest.len() > 1 && word_length(rest) > 1 => {
                    (Kind::Word, word_length(rest))
                }
                '_' | '$' | 'a'..='z' | 'A'..='Z' => (Kind::Word, 1),
                _ if MARKS.contains(first) => (Kind::Mark, 1),
                _ => return Err(error_at(text, line, ParseErrorKind::Character(first))),
            };
            found.push(Token { kind, text: &rest[..length], line });
            length
        };
        line += rest[..length].bytes().filter(|&byte| byte == b'\n').count() as u32;
        rest = &rest[length..];
    }
    found.push(Token { kind: Kind::End, text: "", line });
    Ok(found)
}

fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '$' | '%' | '.')
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | b'%')
}

/// Length of the word at the start of `text`. `::` belongs to a word
/// (`.shared::cluster`), a single `:` ends it (a label).
fn word_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at) {
            Some(&byte) if in_word(byte) => at += 1,
            Some(b':')
                if bytes.get(at + 1) == Some(&b':')
                    && bytes.get(at + 2).is_some_and(u8::is_ascii_alphabetic) =>
            {
                at += 2;
            }
            _ => return at,
        }
    }
}

/// Length of the number at the start of `text`: `12`, `0x1F`, `7U`, `0f3F800000`, `1.5e-3`.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let exact = bytes.len() > 1 && bytes[0] == b'0' && bytes[1].is_ascii_alphabetic();
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        let sign_of_exponent = matches!(byte, b'+' | b'-')
            && !exact
            && matches!(bytes[at - 1], b'e' | b'E')
            && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !(byte.is_ascii_alphanumeric() || byte == b'.' || sign_of_exponent) {
            break;
        }
        at += 1;
    }
    at
}
