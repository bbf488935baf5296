//! Reading documents from files, in input order and in bounded memory.
//!
//! | name | a document is |
//! |---|---|
//! | `.txt` | the whole file |
//! | `.jsonl`, `.json` | one field of the object on each line |
//! | `.parquet` | one row of a column of strings |
//! | `.tar` | what its members are, tars included |
//!
//! All but parquet may be compressed as `.gz`, `.zst` or `.xz` (`.tgz`, `.txz`,
//! `.tzst` too); a compressed file of another name may hold a tar, as
//! OpenWebText's do. A directory stands for its files, sorted by path.
//!
//! [`Detokenizer`] turns the tokenized text of old evaluation sets into running text.
//!
//! The readers push borrowed records into a `Sink` instead of being
//! iterators: a tar within a tar borrows from its parent, and nothing has to
//! be copied. [`Documents`] is an iterator over the same.

mod archive;
mod detokenize;
mod documents;
mod extract;
mod format;
mod inputs;
mod json_lines;
mod lines;
mod parquet_rows;
mod place;
mod plain;
mod reader;
mod skipped;

pub use detokenize::Detokenizer;
pub use documents::{Document, Documents, ReadOptions};
pub use inputs::{Inputs, expand_inputs};
pub use lines::read_lines;
pub use place::{Place, Position};
pub use skipped::{SkipReason, Skipped};

pub(crate) use extract::json_field;
pub(crate) use reader::{Reader, Record, RecordKind, Sink};
