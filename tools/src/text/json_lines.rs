//! JSON lines: one record a line.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use super::place::{Place, Position};
use super::reader::{Reader, Record, RecordKind};
use crate::Error;

/// A longer line is not read into memory.
const LONGEST_LINE: usize = 256 << 20;

/// Passes each line on that is not blank. Lines end at `\n`; a last line need not.
pub(super) fn read<'b>(
    reader: &mut Reader<'_>,
    source: &Arc<str>,
    stream: Box<dyn Read + 'b>,
) -> Result<(), Error> {
    let mut input = BufReader::with_capacity(1 << 18, stream);
    // The part of a line that came with earlier fillings of the buffer.
    let mut begun: Vec<u8> = Vec::new();
    let mut discarding = false;
    let mut number = 1;
    loop {
        let filled = match input.fill_buf() {
            Ok(filled) => filled,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return reader.sink.bad(Error::Unreadable {
                    place: Place::new(source, Position::Line(number)),
                    source: error,
                });
            }
        };
        let at_end = filled.is_empty();
        let newline = memchr::memchr(b'\n', filled);
        let part = &filled[..newline.unwrap_or(filled.len())];
        let consumed = part.len() + usize::from(newline.is_some());
        if !discarding && begun.len() + part.len() > LONGEST_LINE {
            begun = Vec::new();
            discarding = true;
            reader.sink.bad(Error::TooLong {
                place: Place::new(source, Position::Line(number)),
                what: "the line",
                limit: LONGEST_LINE,
            })?;
        }
        if newline.is_some() || at_end {
            if !discarding {
                let line = if begun.is_empty() {
                    part
                } else {
                    begun.extend_from_slice(part);
                    &begun
                };
                emit(reader, source, number, line)?;
            }
            begun.clear();
            discarding = false;
            number += 1;
        } else if !discarding {
            begun.extend_from_slice(part);
        }
        if at_end {
            return Ok(());
        }
        input.consume(consumed);
    }
}

fn emit(reader: &mut Reader<'_>, source: &Arc<str>, number: u64, line: &[u8]) -> Result<(), Error> {
    // Some Windows programs begin a file with a byte order mark.
    let line = match line.strip_prefix(b"\xEF\xBB\xBF") {
        Some(rest) if number == 1 => rest,
        _ => line,
    };
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    reader.sink.record(Record {
        source,
        position: Position::Line(number),
        kind: RecordKind::JsonLine,
        starts_document: true,
        bytes: line,
    })
}
