//! Reading safetensors files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::CheckpointError;
use super::checksums;
use super::tensor_writer::check_finite;

/// Bytes of the header's length field.
const LENGTH_FIELD: u64 = 8;
/// Ten times the header of the largest models; a damaged length must not be allocated.
const MAX_HEADER: u64 = 100_000_000;

/// An open safetensors file whose header has been checked against its length. Tensors are read
/// straight into the caller's memory.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    data_start: u64,
    checksums: BTreeMap<String, String>,
}

impl TensorFile {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// A missing, unreadable, cut or damaged file.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::io("open", path)(source);
        let mut file = File::open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        let wrong_length =
            |expected| CheckpointError::WrongLength { path: path.to_owned(), expected, found };
        let broken =
            |message: String| CheckpointError::BrokenHeader { path: path.to_owned(), message };
        if found < LENGTH_FIELD {
            return Err(wrong_length(LENGTH_FIELD));
        }
        let mut word = [0; LENGTH_FIELD as usize];
        file.read_exact(&mut word).map_err(CheckpointError::io("read", path))?;
        let header = u64::from_le_bytes(word);
        if header > MAX_HEADER {
            return Err(broken(format!("its header claims {header} bytes")));
        }
        let data_start = LENGTH_FIELD + header;
        if found < data_start {
            return Err(wrong_length(data_start));
        }
        let mut json = vec![0; header as usize];
        file.read_exact(&mut json).map_err(CheckpointError::io("read", path))?;
        let metadata: Metadata =
            serde_json::from_slice(&json).map_err(|error| broken(error.to_string()))?;
        let expected = data_start.saturating_add(metadata.data_len() as u64);
        if found != expected {
            return Err(wrong_length(expected));
        }
        Ok(Self { path: path.to_owned(), file, metadata, data_start, checksums: BTreeMap::new() })
    }

    /// Compares what is read with the checksums that are known, by name.
    pub(super) fn with_checksums(self, checksums: BTreeMap<String, String>) -> Self {
        Self { checksums, ..self }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its tensors, in the order of their data.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Whether it has a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// Checks that it has these tensors (name, shape), all f32, and no other.
    ///
    /// # Errors
    /// The first tensor that is missing, of another shape or type, or too many.
    pub fn expect(&self, tensors: &[(String, Vec<usize>)]) -> Result<(), CheckpointError> {
        for (name, shape) in tensors {
            self.expect_tensor(name, shape)?;
        }
        let extra =
            self.names().into_iter().find(|name| tensors.iter().all(|(known, _)| known != name));
        match extra {
            None => Ok(()),
            Some(name) => Err(CheckpointError::ExtraTensor { path: self.path.clone(), name }),
        }
    }

    fn expect_tensor(&self, name: &str, shape: &[usize]) -> Result<(), CheckpointError> {
        let info = self.info(name)?;
        if info.shape != shape {
            return Err(CheckpointError::WrongShape {
                path: self.path.clone(),
                name: name.to_owned(),
                found: info.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        self.expect_f32(name)
    }

    fn expect_f32(&self, name: &str) -> Result<(), CheckpointError> {
        match self.info(name)?.dtype {
            Dtype::F32 => Ok(()),
            other => Err(CheckpointError::WrongType {
                path: self.path.clone(),
                name: name.to_owned(),
                found: format!("{other:?}"),
            }),
        }
    }

    fn info(&self, name: &str) -> Result<&safetensors::tensor::TensorInfo, CheckpointError> {
        self.metadata.info(name).ok_or_else(|| CheckpointError::MissingTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        })
    }

    /// Reads a tensor's elements, row-major.
    ///
    /// # Errors
    /// No such tensor, another type than f32, `out` of another length, a NaN or an infinity, values
    /// of another checksum than the one that is known, or any I/O error.
    pub fn read(&self, name: &str, out: &mut [f32]) -> Result<(), CheckpointError> {
        let info = self.info(name)?;
        self.expect_f32(name)?;
        let (start, end) = info.data_offsets;
        let expected = (end - start) / size_of::<f32>();
        if out.len() != expected {
            return Err(CheckpointError::WrongCount {
                name: name.to_owned(),
                expected,
                given: out.len(),
            });
        }
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| file.read_exact(bytemuck::cast_slice_mut(out)))
            .map_err(CheckpointError::io("read", &self.path))?;
        check_finite(&self.path, name, out)?;
        checksums::check(&self.checksums, &self.path, name, out)
    }
}
