//! Where in the inputs something was found.

use std::fmt;
use std::sync::Arc;

/// A file or archive member, and a place within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file; members of archives are joined with " > ".
    pub source: Arc<str>,
    /// Where in it.
    pub position: Position,
}

/// A place within a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The file as a whole.
    Whole,
    /// A line, counted from 1.
    Line(u64),
    /// A row of a table, counted from 1.
    Row(u64),
}

impl Place {
    pub(crate) fn new(source: &Arc<str>, position: Position) -> Self {
        Self { source: Arc::clone(source), position }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        match self.position {
            Position::Whole => Ok(()),
            Position::Line(line) => write!(f, " line {line}"),
            Position::Row(row) => write!(f, " row {row}"),
        }
    }
}
