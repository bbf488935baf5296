//! What can be wrong with a checkpoint or with saving one.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;

/// Why a checkpoint cannot be saved or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file of the checkpoint does not exist.
    #[error("{} is missing; restore it, or use another checkpoint", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// The file is shorter or longer than its header says.
    #[error(
        "{} has {found} bytes where its header needs {expected}: it was cut short or overwritten; \
         restore it, or use another checkpoint", path.display()
    )]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// Bytes that the header accounts for.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// Not a safetensors file.
    #[error(
        "{} is not a readable safetensors file: {message}; restore it, or use another checkpoint",
        path.display()
    )]
    BrokenHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Not the JSON expected.
    #[error("{}: {message}; restore the file, or use another checkpoint", path.display())]
    BrokenJson {
        /// The file.
        path: PathBuf,
        /// The parser's words, with line and column.
        message: String,
    },
    /// The configuration reads well but cannot be used.
    #[error("{}: {source}", path.display())]
    BadConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ConfigError>,
    },
    /// Written in another format.
    #[error(
        "{} has format {found} and this program reads format {expected}; use the program that \
         wrote it", path.display()
    )]
    WrongFormat {
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The version that can be read.
        expected: u32,
    },
    /// A tensor that the model has is not in the file.
    #[error(
        "{} has no tensor `{name}`, which the model needs; check that model and file belong \
         together", path.display()
    )]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// The file has a tensor that the model has not.
    #[error(
        "{} has a tensor `{name}` that the model does not have; check that model and file belong \
         together", path.display()
    )]
    ExtraTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor of another shape.
    #[error(
        "{}: tensor `{name}` has shape {found:?}, expected {expected:?}; check that model and \
         file belong together", path.display()
    )]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the model.
        expected: Vec<usize>,
    },
    /// A tensor of another element type.
    #[error("{}: tensor `{name}` is {found}, expected F32; convert the file", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type in the file.
        found: String,
    },
    /// A NaN or an infinity.
    #[error(
        "{}: element {index} of tensor `{name}` is {value}; the training had diverged or the file \
         is damaged: use an earlier checkpoint", path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Row-major index of the first such element.
        index: usize,
        /// The element.
        value: f32,
    },
    /// Finite values, but not those that were saved.
    #[error(
        "{}: tensor `{name}` is not what was saved: its CRC-32 is {found}, that of {} is {expected}; \
         use another checkpoint, or, if the file was changed on purpose, remove {}",
        path.display(), file_name(.checksums), checksums.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// CRC-32 of its values.
        found: String,
        /// CRC-32 of the values that were saved.
        expected: String,
        /// The file that has the checksums.
        checksums: PathBuf,
    },
    /// The file has both the embedding and an output projection, and they differ.
    #[error(
        "{}: `{embedding}` and `{output}` differ, but the model uses one matrix for both; it \
         cannot represent this file", path.display()
    )]
    Untied {
        /// The file.
        path: PathBuf,
        /// Name of the embedding.
        embedding: &'static str,
        /// Name of the output projection.
        output: &'static str,
    },
    /// The memory offered for a tensor, or the values offered for saving, have the wrong length.
    #[error("`{name}` has {expected} elements, but {given} were offered")]
    WrongCount {
        /// The tensor.
        name: String,
        /// Its number of elements.
        expected: usize,
        /// The number offered.
        given: usize,
    },
    /// The values to save could not be had, for example from a device.
    #[error("cannot fetch `{name}` to save it: {source}")]
    Fetch {
        /// The tensor.
        name: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The newest checkpoint of a run cannot be used.
    #[error(
        "the newest checkpoint {} is damaged: {reason}\n{}", newest.display(), fallback(.newest, .previous)
    )]
    NewestDamaged {
        /// The damaged checkpoint.
        newest: PathBuf,
        /// What is wrong with it.
        reason: Box<CheckpointError>,
        /// The newest one that is whole.
        previous: Option<PathBuf>,
    },
}

impl CheckpointError {
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::NotFound if action == "open" => Self::MissingFile { path },
            _ => Self::Io { action, path, source },
        }
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space and resume from the last checkpoint, which is intact"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; make the directory writable, or choose another"
        }
        _ => "",
    }
}

fn file_name(path: &std::path::Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn fallback(newest: &std::path::Path, previous: &Option<PathBuf>) -> String {
    match previous {
        Some(previous) => format!(
            "{} is whole: to continue from it, move {} out of the way and resume again",
            previous.display(),
            newest.display()
        ),
        None => "no other checkpoint of this run is whole; restore it from a copy".to_owned(),
    }
}
