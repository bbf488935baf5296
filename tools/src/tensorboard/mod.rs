//! Event files that TensorBoard reads, without TensorFlow or a protobuf compiler.
//!
//! An event file is a sequence of TFRecords ([`record`]), each holding one `Event` message
//! ([`event`]). [`EventWriter`] names the file, writes what every file starts with, and appends
//! scalars.

mod error;
mod event;
mod name;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub use error::Error;
pub use writer::EventWriter;
