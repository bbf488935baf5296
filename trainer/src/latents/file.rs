//! Reading files of latents.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::header::{BYTES, LENGTH_FIELD};
use super::{Entry, Header, LatentsError, Posterior, index};
use crate::config::ModelConfig;

/// An open file of latents; its header and index are checked, latents are read when asked for.
#[derive(Debug)]
pub struct LatentsFile {
    path: PathBuf,
    file: File,
    header: Header,
    entries: Vec<Entry>,
}

impl LatentsFile {
    /// Opens a file.
    ///
    /// # Errors
    /// A missing, cut, overwritten or foreign file.
    pub fn open(path: &Path) -> Result<Self, LatentsError> {
        let mut file = File::open(path).map_err(LatentsError::io("open", path))?;
        let found = file.metadata().map_err(LatentsError::io("open", path))?.len();
        let foreign = |message: String| LatentsError::NotLatents { path: path.to_owned(), message };
        let cut = |expected| LatentsError::WrongLength { path: path.to_owned(), expected, found };
        let mut length = [0; LENGTH_FIELD as usize];
        if found < LENGTH_FIELD {
            return Err(foreign(format!("it has {found} bytes")));
        }
        let io = LatentsError::io("read", path);
        file.read_exact(&mut length).map_err(io)?;
        let length = u64::from_le_bytes(length);
        if length != BYTES - LENGTH_FIELD {
            return Err(foreign("its header has another size".to_owned()));
        }
        if found < BYTES {
            return Err(cut(BYTES));
        }
        let mut json = vec![0; length as usize];
        file.read_exact(&mut json).map_err(LatentsError::io("read", path))?;
        let json =
            serde_json::from_slice(&json).map_err(|e| foreign(format!("its header: {e}")))?;
        let (header, texts, index_bytes) = Header::parse(&json).map_err(foreign)?;
        let index_at = BYTES + 2 * texts * header.row_bytes();
        match index_at.checked_add(index_bytes) {
            Some(expected) if expected == found => {}
            expected => return Err(cut(expected.unwrap_or(u64::MAX))),
        }
        let mut lines = Vec::new();
        file.seek(SeekFrom::Start(index_at))
            .and_then(|_| file.read_to_end(&mut lines))
            .map_err(LatentsError::io("read", path))?;
        let entries = index::parse(path, &lines, texts)?;
        Ok(Self { path: path.to_owned(), file, header, entries })
    }

    /// What was encoded, and by what.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Each text, in order; never empty.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Checks that a model of this shape and [`super::fingerprint`] made the latents; `force`
    /// takes those of any model of the shape.
    ///
    /// # Errors
    /// [`LatentsError::OtherShape`], [`LatentsError::OtherModel`].
    pub fn expect_model(
        &self,
        model: &ModelConfig,
        fingerprint: &str,
        force: bool,
    ) -> Result<(), LatentsError> {
        let path = || self.path.clone();
        let found = [self.header.latents, self.header.dim];
        let expected = [model.latents, model.dim];
        if found != expected {
            return Err(LatentsError::OtherShape { path: path(), found, expected });
        }
        if !force && self.header.model != fingerprint {
            return Err(LatentsError::OtherModel {
                path: path(),
                found: self.header.model.clone(),
                expected: fingerprint.to_owned(),
            });
        }
        Ok(())
    }

    /// The posterior of text `index`.
    ///
    /// # Errors
    /// No such text, a NaN or an infinity, or any I/O error.
    pub fn posterior(&self, index: u64) -> Result<Posterior, LatentsError> {
        let texts = self.entries.len() as u64;
        if index >= texts {
            return Err(LatentsError::NoSuchText { path: self.path.clone(), index, texts });
        }
        Ok(Posterior {
            mu: self.row("mu", index, index)?,
            logvar: self.row("logvar", index, texts + index)?,
        })
    }

    /// The `[N, D]` of a text in a tensor, `row` rows after the header.
    fn row(&self, tensor: &'static str, text: u64, row: u64) -> Result<Vec<f32>, LatentsError> {
        let mut values = vec![0_f32; self.header.latents * self.header.dim];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(BYTES + row * self.header.row_bytes()))
            .and_then(|_| file.read_exact(bytemuck::cast_slice_mut(&mut values)))
            .map_err(LatentsError::io("read", &self.path))?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(element) => Err(LatentsError::NotFinite {
                path: self.path.clone(),
                tensor,
                text,
                element,
                value: values[element],
            }),
        }
    }
}
