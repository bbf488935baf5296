//! Tar archives, whose members may be archives again.

use std::io::{self, Read};
use std::sync::Arc;

use super::format::Format;
use super::place::{Place, Position};
use super::reader::Reader;
use crate::Error;

/// Reads the members in the order they were stored.
pub(super) fn read<'b>(
    reader: &mut Reader<'_>,
    source: &Arc<str>,
    stream: Box<dyn Read + 'b>,
    level: usize,
) -> Result<(), Error> {
    let unreadable = |error: io::Error| Error::Unreadable {
        place: Place::new(source, Position::Whole),
        source: error,
    };
    let mut archive = tar::Archive::new(stream);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return reader.sink.bad(unreadable(error)),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return reader.sink.bad(unreadable(error)),
        };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        let member: Arc<str> = format!("{source} > {path}").into();
        let format = Format::of_name(name);
        if !format.is_known() {
            let place = Place::new(&member, Position::Whole);
            reader.sink.ignored_member(place);
            continue;
        }
        reader.read_stream(&member, format, Box::new(entry), level + 1)?;
    }
    // What follows the last member is padding, but reading it makes the decompressor
    // notice a file that is cut short and check its checksum.
    match io::copy(&mut archive.into_inner(), &mut io::sink()) {
        Ok(_) => Ok(()),
        Err(error) => reader.sink.bad(unreadable(error)),
    }
}

/// A tar begins with a header block of this size.
const BLOCK: u64 = 512;

/// The first block, or less at the end of the stream.
pub(super) fn peek(stream: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    stream.take(BLOCK).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether a first block has the magic of POSIX or GNU tar.
pub(super) fn looks_like_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}
