//! Records gathered into batches, so that threads hand over a few hundred kilobytes at a time.

use std::mem;
use std::sync::Arc;

use crate::Error;
use crate::text::{Place, Position, Record, RecordKind, Sink, Skipped};

/// A batch is handed on when it holds this many bytes,
const FULL_BYTES: usize = 1 << 18;
/// or this many records.
const FULL_RECORDS: usize = 1 << 12;

/// Records, their bytes one after the other.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    records: Vec<Entry>,
}

struct Entry {
    source: Arc<str>,
    position: Position,
    kind: RecordKind,
    starts_document: bool,
    end: usize,
}

impl Batch {
    /// The records, in input order.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut start = 0;
        self.records.iter().map(move |entry| {
            let bytes = &self.bytes[start..entry.end];
            start = entry.end;
            Record {
                source: &entry.source,
                position: entry.position,
                kind: entry.kind,
                starts_document: entry.starts_document,
                bytes,
            }
        })
    }

    fn push(&mut self, record: Record<'_>) {
        self.bytes.extend_from_slice(record.bytes);
        self.records.push(Entry {
            source: Arc::clone(record.source),
            position: record.position,
            kind: record.kind,
            starts_document: record.starts_document,
            end: self.bytes.len(),
        });
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES || self.records.len() >= FULL_RECORDS
    }
}

/// What the reading thread left out.
#[derive(Default)]
pub(super) struct ReadTally {
    pub(super) skipped: Skipped,
    pub(super) ignored: Vec<String>,
    pub(super) ignored_count: u64,
}

impl ReadTally {
    /// Names kept; a tar of a million pictures should not fill memory with theirs.
    const MOST_NAMES: usize = 100;

    pub(super) fn ignore(&mut self, name: String) {
        self.ignored_count += 1;
        if self.ignored.len() < Self::MOST_NAMES {
            self.ignored.push(name);
        }
    }
}

/// Gathers records and hands full batches on.
pub(super) struct Batcher<'a> {
    batch: Batch,
    skip_bad: bool,
    tally: &'a mut ReadTally,
    hand_on: &'a mut dyn FnMut(Batch) -> Result<(), Error>,
}

impl<'a> Batcher<'a> {
    pub(super) fn new(
        skip_bad: bool,
        tally: &'a mut ReadTally,
        hand_on: &'a mut dyn FnMut(Batch) -> Result<(), Error>,
    ) -> Self {
        Self { batch: Batch::default(), skip_bad, tally, hand_on }
    }

    /// Hands on what is left. To be called before an error is passed on as well:
    /// an earlier record may hold an earlier error.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        (self.hand_on)(mem::take(&mut self.batch))
    }
}

impl Sink for Batcher<'_> {
    fn record(&mut self, record: Record<'_>) -> Result<(), Error> {
        self.batch.push(record);
        if self.batch.is_full() {
            self.flush()?;
        }
        Ok(())
    }

    fn bad(&mut self, error: Error) -> Result<(), Error> {
        match error.skip_reason() {
            Some(reason) if self.skip_bad => {
                self.tally.skipped.add(reason);
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn ignored_member(&mut self, place: Place) {
        self.tally.ignore(place.source.to_string());
    }
}
