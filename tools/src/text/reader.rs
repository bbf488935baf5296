//! One file, whatever it is, as a sequence of records.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{Content, Format, decompress};
use super::place::{Place, Position};
use super::{archive, json_lines, parquet_rows, plain};
use crate::Error;

/// What a record's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// A document, or a piece of one. Checked: UTF-8.
    Text,
    /// A line to take a field from. Not checked: that costs more than reading
    /// does, and is left to the threads that encode.
    JsonLine,
}

/// A document, or a piece of one, in the reader's buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) source: &'a Arc<str>,
    pub(crate) position: Position,
    pub(crate) kind: RecordKind,
    /// False for the second and later pieces of a large text file.
    pub(crate) starts_document: bool,
    pub(crate) bytes: &'a [u8],
}

/// Receives what is read.
pub(crate) trait Sink {
    /// Takes a record; an error ends the reading at once.
    fn record(&mut self, record: Record<'_>) -> Result<(), Error>;

    /// Decides about something that could not be read: `Err` ends the reading,
    /// `Ok` leaves it out.
    fn bad(&mut self, error: Error) -> Result<(), Error>;

    /// Told of archive members whose name does not end as text does.
    fn ignored_member(&mut self, place: Place);
}

/// Reads files into a sink.
pub(crate) struct Reader<'a> {
    /// The column to read from parquet files.
    pub(crate) field: &'a str,
    /// Bytes read from files so far, before decompression.
    pub(crate) bytes_read: &'a AtomicU64,
    pub(crate) sink: &'a mut dyn Sink,
}

/// Archives within archives beyond this are an attack, not a corpus.
const MOST_LEVELS: usize = 16;

impl Reader<'_> {
    /// Reads one file.
    pub(crate) fn read_file(&mut self, path: &Path) -> Result<(), Error> {
        let source: Arc<str> = path.display().to_string().into();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let format = Format::of_name(&name);
        if !format.is_known() {
            return Err(Error::UnknownExtension { place: Place::new(&source, Position::Whole) });
        }
        let file = File::open(path).map_err(Error::io("open", path))?;
        if format == Format::of_name(".parquet") {
            return parquet_rows::read(self, &source, file);
        }
        let counted = CountedRead { inner: file, count: self.bytes_read };
        self.read_stream(&source, format, Box::new(counted), 0)
    }

    /// Reads a stream, which `level` archives contain.
    pub(super) fn read_stream<'b>(
        &mut self,
        source: &Arc<str>,
        format: Format,
        input: Box<dyn Read + 'b>,
        level: usize,
    ) -> Result<(), Error> {
        let place = Place::new(source, Position::Whole);
        if level > MOST_LEVELS {
            return Err(Error::Unsupported {
                place,
                what: "archives are nested more than 16 deep; unpack them first",
            });
        }
        let mut stream = match decompress(format.compression, input) {
            Ok(stream) => stream,
            Err(source) => return self.sink.bad(Error::Unreadable { place, source }),
        };
        match format.content {
            Content::Text => plain::read(self, source, stream),
            Content::JsonLines => json_lines::read(self, source, stream),
            Content::Tar => archive::read(self, source, stream, level),
            Content::Parquet => Err(Error::Unsupported {
                place,
                what: "a parquet file is read from its end, so not from within an archive or \
                       compressed file: unpack it first",
            }),
            Content::Unknown => {
                let head = match archive::peek(&mut stream) {
                    Ok(head) => head,
                    Err(source) => return self.sink.bad(Error::Unreadable { place, source }),
                };
                if !archive::looks_like_tar(&head) {
                    return Err(Error::UnknownExtension { place });
                }
                let whole = io::Cursor::new(head).chain(stream);
                archive::read(self, source, Box::new(whole), level)
            }
        }
    }
}

/// Counts the bytes that pass.
struct CountedRead<'a, R> {
    inner: R,
    count: &'a AtomicU64,
}

impl<R: Read> Read for CountedRead<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
