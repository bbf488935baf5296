//! Encoding one batch.

use super::batch::Batch;
use crate::Error;
use crate::text::{Place, Record, RecordKind, Skipped, json_field};
use crate::tokenizer::{Encoder, Tokenizer};

/// A batch as tokens.
#[derive(Default)]
pub(super) struct Encoded {
    /// Documents one after the other, each after its separator.
    pub(super) tokens: Vec<u16>,
    /// Where in `tokens` documents begin (at their separator).
    pub(super) starts: Vec<usize>,
    pub(super) text_bytes: u64,
    pub(super) empty_documents: u64,
    pub(super) skipped: Skipped,
    /// What ends the run after these tokens.
    pub(super) failure: Option<Error>,
}

/// Encodes batches, one worker a thread.
pub(super) struct Worker<'a> {
    encoder: Encoder,
    separator: u16,
    field: &'a str,
    skip_bad: bool,
}

impl<'a> Worker<'a> {
    pub(super) fn new(tokenizer: &Tokenizer, field: &'a str, skip_bad: bool) -> Self {
        Self {
            encoder: tokenizer.encoder(),
            // Every tokenizer's ids fit 16 bits, or shards could not hold them.
            separator: tokenizer.end_of_text() as u16,
            field,
            skip_bad,
        }
    }

    pub(super) fn encode(&mut self, batch: &Batch) -> Encoded {
        let mut encoded = Encoded::default();
        for record in batch.records() {
            let Err(error) = self.encode_record(record, &mut encoded) else {
                continue;
            };
            match error.skip_reason() {
                Some(reason) if self.skip_bad => encoded.skipped.add(reason),
                _ => {
                    encoded.failure = Some(error);
                    break;
                }
            }
        }
        encoded
    }

    fn encode_record(&mut self, record: Record<'_>, encoded: &mut Encoded) -> Result<(), Error> {
        let line;
        let text = match record.kind {
            RecordKind::Text => record.bytes,
            RecordKind::JsonLine => {
                let place = || Place::new(record.source, record.position);
                line = json_field(record.bytes, self.field, place)?;
                line.as_bytes()
            }
        };
        if record.starts_document {
            if text.is_empty() {
                encoded.empty_documents += 1;
                return Ok(());
            }
            encoded.starts.push(encoded.tokens.len());
            encoded.tokens.push(self.separator);
        }
        encoded.text_bytes += text.len() as u64;
        self.encoder.encode_into(text, &mut encoded.tokens);
        Ok(())
    }
}
