//! Writing a file of latents text by text.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::header::{BYTES, LENGTH_FIELD};
use super::posterior::Encoded;
use super::{Entry, Header, LatentsError, LatentsFile, Text};
use crate::atomic_file;

// Tensors are written as they lie in memory, and the format is little-endian.
const _: () = assert!(cfg!(target_endian = "little"));

/// A file being written: beside its place, in parts that are joined at the end, so that it takes no
/// memory however many texts there are. Dropped before [`Writer::finish`], it leaves nothing.
pub struct Writer {
    path: PathBuf,
    header: Header,
    written: Written,
    /// The file to be; the means are already in their place.
    whole: Part,
    logvar: Part,
    index: Part,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Texts in the file.
    pub texts: u64,
    /// Tokens that their latents were inferred from.
    pub tokens: u64,
    /// Nats of these tokens in all.
    pub nll: f64,
    /// Nats of KL from the prior in all.
    pub kl: f64,
    /// Its bytes.
    pub bytes: u64,
    /// Whether these are all that there were to encode.
    pub complete: bool,
}

impl Writer {
    /// Starts a file. One of latents that has its name is replaced when the new one is whole.
    ///
    /// # Errors
    /// [`LatentsError::Occupied`] if something else has its name, or any I/O error.
    pub fn create(path: &Path, header: Header) -> Result<Self, LatentsError> {
        if path.exists() && (path.is_dir() || LatentsFile::open(path).is_err()) {
            return Err(LatentsError::Occupied { path: path.to_owned() });
        }
        let mut whole = Part::create(path, "tmp")?;
        whole.write(&[0; BYTES as usize])?;
        Ok(Self {
            path: path.to_owned(),
            header,
            written: Written::default(),
            whole,
            logvar: Part::create(path, "logvar.tmp")?,
            index: Part::create(path, "index.tmp")?,
        })
    }

    /// Texts so far.
    pub fn texts(&self) -> u64 {
        self.written.texts
    }

    /// Appends a text, whose posterior is `[N, D]` of the header.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn append(&mut self, text: &Text, encoded: &Encoded) -> Result<(), LatentsError> {
        let entry = Entry {
            text: self.written.texts,
            source: text.source.clone(),
            piece: text.piece,
            tokens: text.tokens() as u64,
            bytes: text.bytes,
            nll: encoded.nll,
            kl: encoded.kl,
        };
        let mut line = serde_json::to_vec(&entry).map_err(LatentsError::Describe)?;
        line.push(b'\n');
        self.whole.write(bytemuck::cast_slice(&encoded.posterior.mu))?;
        self.logvar.write(bytemuck::cast_slice(&encoded.posterior.logvar))?;
        self.index.write(&line)?;
        self.written.texts += 1;
        self.written.tokens += entry.tokens;
        self.written.nll += entry.nll;
        self.written.kl += entry.kl;
        Ok(())
    }

    /// Joins the parts, syncs the file and gives it its name.
    ///
    /// # Errors
    /// [`LatentsError::NoText`] if there is none, or any I/O error; what had the name is then as it
    /// was.
    pub fn finish(mut self, complete: bool) -> Result<Written, LatentsError> {
        if self.written.texts == 0 {
            return Err(LatentsError::NoText { path: self.path.clone() });
        }
        self.header.complete = complete;
        self.whole.append(&mut self.logvar)?;
        let index = self.whole.append(&mut self.index)?;
        let mut json = serde_json::to_vec(&self.header.json(self.written.texts, index))
            .map_err(LatentsError::Describe)?;
        json.resize((BYTES - LENGTH_FIELD) as usize, b' ');
        let length = (BYTES - LENGTH_FIELD).to_le_bytes();
        let bytes = self.whole.publish(&[&length[..], &json].concat(), &self.path)?;
        Ok(Written { bytes, complete, ..self.written.clone() })
    }
}

/// A file that is removed unless it gets another name.
struct Part {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Part {
    fn create(beside: &Path, ending: &str) -> Result<Self, LatentsError> {
        let mut name = beside.file_name().map_or_else(OsString::new, OsString::from);
        name.push(format!(".{ending}"));
        let path = beside.with_file_name(name);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = BufWriter::new(file.map_err(LatentsError::io("create", &path))?);
        Ok(Self { path, file })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LatentsError> {
        self.file.write_all(bytes).map_err(LatentsError::io("write", &self.path))
    }

    /// Appends all of another part; how many bytes that is.
    fn append(&mut self, other: &mut Part) -> Result<u64, LatentsError> {
        let path = other.path.clone();
        let rewound = other.file.flush().and_then(|()| other.file.seek(SeekFrom::Start(0)));
        rewound.map_err(LatentsError::io("read", path))?;
        io::copy(other.file.get_mut(), &mut self.file)
            .map_err(LatentsError::io("write", &self.path))
    }

    /// Writes `header` over the start, syncs the file and renames it; its bytes.
    fn publish(&mut self, header: &[u8], name: &Path) -> Result<u64, LatentsError> {
        let mut publish = || {
            let bytes = self.file.stream_position()?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(header)?;
            self.file.flush()?;
            self.file.get_ref().sync_all()?;
            fs::rename(&self.path, name)?;
            atomic_file::sync_parent(name)?;
            Ok(bytes)
        };
        publish().map_err(LatentsError::io("write", name))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It is gone already where it got its name; a leftover is overwritten by the next writer.
        let _ = fs::remove_file(&self.path);
    }
}
