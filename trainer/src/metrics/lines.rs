//! Appending lines, cutting them on resume, reading them back.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{MetricsError, Record};
use crate::atomic_file;

/// A file of JSON lines that grows by whole lines.
#[derive(Debug)]
pub struct JsonLines<T> {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    record: PhantomData<fn(&T)>,
}

impl<T: Record> JsonLines<T> {
    /// Opens or creates the file of a run that continues at `iteration` (0 for a new run): lines
    /// of that iteration or later, and a last line cut short by a crash, are removed.
    ///
    /// # Errors
    /// Any I/O error, or a broken line before the last one.
    pub fn open(path: &Path, iteration: u64) -> Result<Self, MetricsError> {
        if path.exists() {
            cut(path, iteration)?;
        }
        let io = |source| failed("open", path, source);
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        Ok(Self::over(path, file, len))
    }

    pub(super) fn over(path: &Path, file: File, len: u64) -> Self {
        Self { path: path.to_owned(), file, len, record: PhantomData }
    }

    /// Appends one line; it is with the operating system when this returns.
    ///
    /// # Errors
    /// Any I/O error; the file then still ends with the last whole line.
    pub fn append(&mut self, record: &T) -> Result<(), MetricsError> {
        let written = serde_json::to_vec(record).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)?;
            Ok(line.len() as u64)
        });
        match written {
            Ok(length) => {
                self.len += length;
                Ok(())
            }
            Err(source) => {
                // On a full disk part of the line may have been written; cutting it off is the
                // best that can be done, and the next start would do it too.
                let _ = self.file.set_len(self.len);
                Err(failed("write", &self.path, source))
            }
        }
    }

    /// Makes every line durable. Called before a checkpoint, it keeps the lines from falling
    /// behind the checkpoint in a power failure.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn sync(&self) -> Result<(), MetricsError> {
        self.file.sync_data().map_err(|source| failed("sync", &self.path, source))
    }
}

/// Reads a whole file, which may be growing: a last line that is not complete is left out.
///
/// # Errors
/// Any I/O error, or a broken line before the last one.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, MetricsError> {
    let mut records = Vec::new();
    for_each_line(path, |_, record| {
        records.push(record);
        Ok(())
    })?;
    Ok(records)
}

#[derive(Deserialize)]
struct Stamp {
    iteration: u64,
}

fn cut(path: &Path, iteration: u64) -> Result<(), MetricsError> {
    let mut kept = 0;
    for_each_line(path, |line, stamp: Stamp| {
        kept += if stamp.iteration < iteration { line.len() as u64 } else { 0 };
        Ok(())
    })?;
    let io = |source| failed("shorten", path, source);
    if kept == path.metadata().map_err(io)?.len() {
        return Ok(());
    }
    atomic_file::replace(path, |file| {
        let mut out = BufWriter::new(file);
        for_each_line(path, |line, stamp: Stamp| {
            if stamp.iteration < iteration {
                out.write_all(line)?;
            }
            Ok(())
        })
        .map_err(io::Error::other)?;
        out.flush()
    })
    .map_err(io)
}

/// Calls `each` with the bytes, newline included, and the record of every whole line. A last line
/// without its newline or that does not parse is what a crash leaves, and is passed over.
fn for_each_line<T: DeserializeOwned>(
    path: &Path,
    mut each: impl FnMut(&[u8], T) -> io::Result<()>,
) -> Result<(), MetricsError> {
    let io = |source| failed("read", path, source);
    let mut reader = BufReader::new(File::open(path).map_err(io)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        reader.read_until(b'\n', &mut line).map_err(io)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        match serde_json::from_slice(&line) {
            Ok(record) => each(&line, record).map_err(io)?,
            Err(_) if reader.fill_buf().map_err(io)?.is_empty() => break,
            Err(error) => {
                return Err(MetricsError::BrokenLine {
                    path: path.to_owned(),
                    line: number,
                    message: error.to_string(),
                });
            }
        }
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> MetricsError {
    MetricsError::Io { action, path: path.to_owned(), source }
}
