//! What can be wrong with a PTX text.

use super::{NEWEST_VERSION, OLDEST_VERSION};

/// A PTX text that cannot be read: where, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}: {kind}, at `{text}`")]
pub struct ParseError {
    /// Line of the text, from 1.
    pub line: u32,
    /// That line, without the blanks around it, cut where it is long.
    pub text: String,
    /// What is wrong.
    pub kind: ParseErrorKind,
}

/// What is wrong with a PTX text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Something else stands where the grammar asks for something.
    #[error("found {found}, expected {expected}")]
    Syntax {
        /// What stands there.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The text ends too early.
    #[error("the text is cut: it ends inside {inside}, expected {expected}")]
    Truncated {
        /// What was begun.
        inside: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A character that PTX does not use.
    #[error("unexpected character {0:?}")]
    Character(char),
    /// A `.version` outside the range that is known.
    #[error(
        "PTX version {}.{} is {}, expected {}.{} to {}.{}",
        .0.0, .0.1, if *.0 > NEWEST_VERSION { "newer than this virtual GPU knows" } else { "too old" },
        OLDEST_VERSION.0, OLDEST_VERSION.1, NEWEST_VERSION.0, NEWEST_VERSION.1
    )]
    Version((u32, u32)),
    /// A `.target` that is not known.
    #[error("unknown target {0}, expected sm_70 to sm_90a")]
    Target(String),
    /// A directive that is not known.
    #[error("unknown directive {name}, expected {expected}")]
    Directive {
        /// Name.
        name: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A name that nothing declares.
    #[error("undefined {what} {name}")]
    Undefined {
        /// Register, label, or variable or parameter.
        what: &'static str,
        /// Name.
        name: String,
    },
    /// A name that is declared twice in one scope.
    #[error("{what} {name} is declared twice")]
    Duplicate {
        /// What it names.
        what: &'static str,
        /// Name.
        name: String,
    },
    /// A number that does not fit or is not one.
    #[error("{found} is no number that fits, expected {expected}")]
    Number {
        /// As written.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Correct PTX that this virtual GPU does not run.
    #[error("{0} is not supported by this virtual GPU")]
    Unsupported(String),
}
