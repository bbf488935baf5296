//! Files of one JSON object a line, as a process that may be killed at any instant leaves them.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::Error;

/// What was found at the end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// There is no such file.
    Missing,
    /// Every line was read.
    Whole,
    /// The last line, of this number, was cut short while being written and was left out.
    Torn(usize),
}

/// Hands every line of `path` to `visit`.
///
/// An unreadable last line is taken for torn only where its newline is missing too: a complete
/// line that makes no sense is an error like any other.
pub(super) fn read<T: DeserializeOwned>(
    path: &Path,
    mut visit: impl FnMut(T),
) -> Result<Tail, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tail::Missing),
        Err(error) => return Err(failed(error)),
    };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match parse(&line) {
            Ok(value) => visit(value),
            Err(_) if line.last() != Some(&b'\n') => return Ok(Tail::Torn(number)),
            Err(error) => return Err(Error::json(path, number, &error)),
        }
    }
    Ok(Tail::Whole)
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(line).or_else(|error| match without_bare_constants(line) {
        Cow::Owned(line) => serde_json::from_slice(&line),
        Cow::Borrowed(_) => Err(error),
    })
}

/// The line with `NaN`, `Infinity` and `-Infinity` outside strings replaced by `null`.
///
/// JSON has no such numbers, but Python's and JavaScript's usual writers produce them. The
/// replacement keeps the length where it can, so that columns in later messages stay right.
fn without_bare_constants(line: &[u8]) -> Cow<'_, [u8]> {
    const CONSTANTS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut out = Vec::with_capacity(line.len() + 8);
    let (mut at, mut in_string, mut replaced) = (0, false, false);
    while let Some(&byte) = line.get(at) {
        let constant =
            CONSTANTS.iter().find(|constant| !in_string && line[at..].starts_with(constant));
        if let Some(constant) = constant {
            out.extend_from_slice(b"null");
            out.resize(out.len() + constant.len().saturating_sub(4), b' ');
            at += constant.len();
            replaced = true;
            continue;
        }
        if in_string && byte == b'\\' {
            out.push(byte);
            at += 1;
            out.extend(line.get(at));
        } else {
            in_string ^= byte == b'"';
            out.push(byte);
        }
        at += 1;
    }
    if replaced { Cow::Owned(out) } else { Cow::Borrowed(line) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;

    fn read_text(text: &[u8]) -> Result<(Vec<Value>, Tail), Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines.jsonl");
        fs::write(&path, text).unwrap();
        let mut values = Vec::new();
        let tail = read(&path, |value| values.push(value))?;
        Ok((values, tail))
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_a_whole_one_without_newline_kept() {
        let (values, tail) = read_text(b"{\"a\":1}\n\n{\"a\":2,\"b\":[0.").unwrap();
        assert_eq!((values.len(), tail), (1, Tail::Torn(3)));
        let (values, tail) = read_text(b"{\"a\":1}\n{\"a\":2}").unwrap();
        assert_eq!((values.len(), tail), (2, Tail::Whole));
        // Cut inside a character, and blocks the file system filled with zeros.
        assert_eq!(read_text(b"{\"a\":1}\n{\"a\":\"\xc3").unwrap().1, Tail::Torn(2));
        assert_eq!(read_text(b"{\"a\":1}\n\0\0\0").unwrap().1, Tail::Torn(2));
        assert_eq!(read_text(b"").unwrap(), (vec![], Tail::Whole));
    }

    #[test]
    fn an_unreadable_complete_line_is_an_error_with_its_place() {
        let error = read_text(b"{\"a\":1}\n{\"a\":x}\n{\"a\":3}\n").unwrap_err();
        assert!(matches!(error, Error::Line { line: 2, column: 6, .. }), "{error}");
        assert!(error.to_string().contains("lines.jsonl:2:6: expected"));
    }

    #[test]
    fn bare_constants_are_null_outside_strings() {
        let (values, _) =
            read_text(br#"{"a":[NaN,-Infinity,Infinity,1],"b":"\"NaN\\","c":"NaN"}"#).unwrap();
        assert_eq!(values[0], serde_json::json!({"a":[null,null,null,1],"b":"\"NaN\\","c":"NaN"}));
    }

    #[test]
    fn a_missing_file_is_no_error() {
        let tail = read(Path::new("no such file"), |_: Value| ()).unwrap();
        assert_eq!(tail, Tail::Missing);
    }
}
