//! The lines of a small text file: prompts, questions.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::format::{Format, decompress};
use crate::Error;

/// A larger file is no list of prompts or questions.
const MOST_BYTES: u64 = 1 << 30;

/// Every line of a file in memory, without its end (`\n` or `\r\n`); decompressed where the name
/// ends in `.gz`, `.zst` or `.xz`. Blank lines are there too, so that line `i` is
/// `lines[i - 1]`.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, that is cut short, or larger than a GiB;
/// [`Error::LineEncoding`] for a line that is no UTF-8.
pub fn read_lines(path: &Path) -> Result<Vec<String>, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    decompress(Format::of_name(&name).compression, Box::new(file))
        .and_then(|stream| stream.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    if bytes.len() as u64 > MOST_BYTES {
        let source = std::io::Error::other("it has more than a GiB of text; expected a list");
        return Err(Error::io("read", path)(source));
    }
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    lines.pop_if(|last| last.is_empty());
    let decoded = |(index, line): (usize, &[u8])| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        std::str::from_utf8(line).map(str::to_owned).map_err(|error| Error::LineEncoding {
            path: path.to_owned(),
            line: index + 1,
            byte: error.valid_up_to(),
        })
    };
    lines.into_iter().enumerate().map(decoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str, bytes: &[u8]) -> Result<Vec<String>, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read_lines(&path)
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        assert_eq!(
            lines("a.txt", b"\xEF\xBB\xBFone\r\n\n three\nfour").unwrap(),
            ["one", "", " three", "four"]
        );
        assert_eq!(lines("a.txt", b"one\n").unwrap(), ["one"]);
        assert!(lines("a.txt", b"").unwrap().is_empty());
    }

    #[test]
    fn compressed_files_are_read_to_their_end_or_refused() {
        let packed = zstd::encode_all(&b"one\ntwo\n"[..], 1).unwrap();
        assert_eq!(lines("a.jsonl.zst", &packed).unwrap(), ["one", "two"]);
        let error = lines("a.jsonl.zst", &packed[..packed.len() - 3]).unwrap_err();
        assert!(error.to_string().contains("a.jsonl.zst"), "{error}");
    }

    #[test]
    fn what_is_no_utf8_is_named_by_its_line() {
        let error = lines("a.txt", b"one\nt\xffo\n").unwrap_err().to_string();
        assert!(error.contains("a.txt line 2") && error.contains("byte 1"), "{error}");
    }
}
