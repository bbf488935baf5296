//! Reads the PTX text that NVRTC and nvcc write.
//!
//! Names are resolved here (registers, labels, parameters, variables); opcodes stay text, for the
//! executor's table to know or not to know. Nothing is skipped in silence: what this version cannot
//! run, such as device functions and their calls, is refused with its line.

mod body;
mod cursor;
mod entry;
mod error;
mod lexer;
mod literal;
mod module;
mod operand;
mod scope;
mod variable;

#[cfg(test)]
mod tests;

pub use error::{ParseError, ParseErrorKind};

use super::ast::Module;

/// Oldest `.version` that is read.
pub const OLDEST_VERSION: (u32, u32) = (6, 0);
/// Newest `.version` that is read.
pub const NEWEST_VERSION: (u32, u32) = (8, 8);

/// Parses the text of a `.ptx` file.
///
/// # Errors
///
/// [`ParseError`] at the first thing that is not PTX of a known version for a known target, or that
/// cannot be run; it has the line and what was expected there.
pub fn parse(text: &str) -> Result<Module, ParseError> {
    module::parse(&mut cursor::Cursor::new(text)?)
}
