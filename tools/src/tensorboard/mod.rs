//! Event files that TensorBoard reads, without TensorFlow or a protobuf compiler.
//!
//! An event file is a sequence of TFRecords (length, payload and a checksum of each), each holding
//! one `Event` message, encoded here by hand. [`EventWriter`] names the file, writes what every
//! file starts with, and appends scalars.

mod error;
mod event;
mod name;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub use error::Error;
pub use writer::EventWriter;
