//! Documents as an iterator.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::extract::json_field;
use super::place::Place;
use super::reader::{Reader, Record, RecordKind, Sink};
use crate::Error;

/// How to read documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// The JSON field or parquet column that holds the text.
    pub field: String,
    /// Leave out what cannot be read, instead of ending with an error.
    pub skip_bad: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { field: "text".to_owned(), skip_bad: false }
    }
}

/// A document, or a piece of a large one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it begins.
    pub place: Place,
    /// The text. Pieces of one document tokenize to the tokens of the whole.
    pub text: String,
    /// False for the second and later pieces of a text file of over half a MiB.
    pub starts_document: bool,
}

/// The documents of some files, in order, read ahead by a thread of their own.
/// After an error it ends.
pub struct Documents {
    receiver: Receiver<Result<Document, Error>>,
}

/// Documents read ahead.
const READ_AHEAD: usize = 64;

impl Documents {
    /// Starts reading `files` (see [`super::expand_inputs`]).
    pub fn open(files: Vec<PathBuf>, options: ReadOptions) -> Self {
        let (sender, receiver) = sync_channel(READ_AHEAD);
        thread::spawn(move || {
            let mut sink = Forward { options: &options, sender: &sender };
            let mut reader =
                Reader { field: &options.field, bytes_read: &AtomicU64::new(0), sink: &mut sink };
            let result = files.iter().try_for_each(|file| reader.read_file(file));
            if let Err(error) = result {
                // Fails if the iterator is gone, and then nobody wants the error.
                let _ = sender.send(Err(error));
            }
        });
        Self { receiver }
    }
}

impl Iterator for Documents {
    type Item = Result<Document, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.recv().ok()
    }
}

struct Forward<'a> {
    options: &'a ReadOptions,
    sender: &'a SyncSender<Result<Document, Error>>,
}

impl Sink for Forward<'_> {
    fn record(&mut self, record: Record<'_>) -> Result<(), Error> {
        let place = || Place::new(record.source, record.position);
        let text = match record.kind {
            RecordKind::Text => Ok(String::from_utf8_lossy(record.bytes)),
            RecordKind::JsonLine => json_field(record.bytes, &self.options.field, place),
        };
        let text = match text {
            Ok(text) if text.is_empty() => return Ok(()),
            Ok(text) => text.into_owned(),
            Err(error) => return self.bad(error),
        };
        let document = Document { place: place(), text, starts_document: record.starts_document };
        self.sender.send(Ok(document)).map_err(|_| Error::Cancelled)
    }

    fn bad(&mut self, error: Error) -> Result<(), Error> {
        if self.options.skip_bad && error.skip_reason().is_some() {
            return Ok(());
        }
        Err(error)
    }

    fn ignored_member(&mut self, _: Place) {}
}
