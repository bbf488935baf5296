//! A text file: one document, in pieces if it is large.

use std::io::Read;
use std::sync::Arc;

use super::place::{Place, Position};
use super::reader::{Reader, Record, RecordKind};
use crate::Error;
use crate::tokenizer::last_cut;

/// Bytes collected before a place to cut is looked for.
const PIECE: usize = 1 << 19;
/// A stretch this long without white space between words is not text.
const LONGEST_STRETCH: usize = 64 << 20;

/// Passes the file on in pieces whose tokens, joined, are those of the whole.
pub(super) fn read<'b>(
    reader: &mut Reader<'_>,
    source: &Arc<str>,
    mut stream: Box<dyn Read + 'b>,
) -> Result<(), Error> {
    let mut buffer: Vec<u8> = Vec::new();
    let mut line = 1;
    let mut starts_document = true;
    loop {
        let wanted = buffer.len() + PIECE;
        let at_end = {
            let missing = (wanted - buffer.len()) as u64;
            match stream.by_ref().take(missing).read_to_end(&mut buffer) {
                Ok(_) => buffer.len() < wanted,
                Err(error) => {
                    return reader.sink.bad(Error::Unreadable {
                        place: Place::new(source, Position::Line(line + count_lines(&buffer))),
                        source: error,
                    });
                }
            }
        };
        let cut = if at_end {
            buffer.len()
        } else if let Some(cut) = last_cut(&buffer) {
            cut
        } else if buffer.len() < LONGEST_STRETCH {
            continue;
        } else {
            return reader.sink.bad(Error::TooLong {
                place: Place::new(source, Position::Line(line)),
                what: "a stretch without white space between words",
                limit: LONGEST_STRETCH,
            });
        };
        let piece = &buffer[..cut];
        if let Err(error) = std::str::from_utf8(piece) {
            let good = &piece[..error.valid_up_to()];
            let in_line = good.len() - memchr::memrchr(b'\n', good).map_or(0, |at| at + 1);
            // The rest goes too: a document may be short, but has no hole in it.
            return reader.sink.bad(Error::InvalidUtf8 {
                place: Place::new(source, Position::Line(line + count_lines(good))),
                byte: in_line,
            });
        }
        reader.sink.record(Record {
            source,
            position: Position::Line(line),
            kind: RecordKind::Text,
            starts_document,
            bytes: piece,
        })?;
        if at_end {
            return Ok(());
        }
        starts_document = false;
        line += count_lines(piece);
        buffer.drain(..cut);
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
