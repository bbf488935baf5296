//! Checksums of a checkpoint's tensors, by which a changed bit shows that leaves a finite number.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CHECKSUMS, CheckpointError, read_json};

/// CRC-32 (ISO-HDLC, as in zlib) of the bytes of each tensor, eight hexadecimal digits, by file and
/// name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Checksums(BTreeMap<String, BTreeMap<String, String>>);

impl Checksums {
    /// Those of a checkpoint directory; none where it has no such file, as checkpoints that were
    /// converted from elsewhere have not.
    pub(super) fn of_directory(directory: &Path) -> Result<Self, CheckpointError> {
        match read_json(&directory.join(CHECKSUMS)) {
            Err(CheckpointError::MissingFile { .. }) => Ok(Self::default()),
            read => read,
        }
    }

    /// Takes up the checksum of a tensor.
    pub(super) fn add(&mut self, file: &str, tensor: &str, checksum: String) {
        self.0.entry(file.to_owned()).or_default().insert(tensor.to_owned(), checksum);
    }

    /// What is known of the tensors of a file.
    pub(super) fn of_file(&self, file: &str) -> BTreeMap<String, String> {
        self.0.get(file).cloned().unwrap_or_default()
    }
}

/// The checksum of a tensor's values.
pub(super) fn checksum(values: &[f32]) -> String {
    format!("{:08x}", crc32fast::hash(bytemuck::cast_slice(values)))
}

/// Compares values that were read with what is known of them.
pub(super) fn check(
    known: &BTreeMap<String, String>,
    path: &Path,
    name: &str,
    values: &[f32],
) -> Result<(), CheckpointError> {
    let Some(expected) = known.get(name) else { return Ok(()) };
    let found = checksum(values);
    match found == *expected {
        true => Ok(()),
        false => Err(CheckpointError::Damaged {
            path: path.to_owned(),
            name: name.to_owned(),
            found,
            expected: expected.clone(),
            checksums: sibling(path),
        }),
    }
}

fn sibling(path: &Path) -> PathBuf {
    path.with_file_name(CHECKSUMS)
}
