//! The directory of a run's checkpoints: finding, pruning and putting right.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Checkpoint, CheckpointError, Purpose};
use crate::atomic_file;

const PREFIX: &str = "iter_";

/// Directories that exist only for the time of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftover {
    /// A checkpoint being written.
    Saving,
    /// One that makes room for another of the same iteration.
    Replaced,
    /// One being deleted.
    Deleting,
}

impl Leftover {
    const ALL: [Self; 3] = [Self::Saving, Self::Replaced, Self::Deleting];

    fn prefix(self) -> &'static str {
        match self {
            Self::Saving => ".saving-",
            Self::Replaced => ".replaced-",
            Self::Deleting => ".deleting-",
        }
    }

    /// The temporary name beside a checkpoint.
    pub(super) fn path(self, checkpoint: &Path) -> PathBuf {
        let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
        checkpoint.with_file_name(format!("{}{name}", self.prefix()))
    }
}

pub(super) fn path_of(checkpoints: &Path, iteration: u64) -> PathBuf {
    checkpoints.join(format!("{PREFIX}{iteration:08}"))
}

fn iteration_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let plain = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The checkpoints of a run with their iterations, oldest first; empty if there is no such
/// directory.
///
/// # Errors
/// An unreadable directory.
pub fn list(checkpoints: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let mut found: Vec<_> = entries(checkpoints)?
        .into_iter()
        .filter_map(|name| Some((iteration_of(&name)?, checkpoints.join(&name))))
        .filter(|(_, path)| path.is_dir())
        .collect();
    found.sort();
    Ok(found)
}

/// Opens the newest checkpoint of a run; `None` if there is none.
///
/// # Errors
/// [`CheckpointError::NewestDamaged`], which names the newest whole one, if the newest cannot be
/// opened: training on from an older one is for the user to decide.
pub fn latest(checkpoints: &Path, purpose: Purpose) -> Result<Option<Checkpoint>, CheckpointError> {
    let mut found = list(checkpoints)?;
    let Some((_, newest)) = found.pop() else {
        return Ok(None);
    };
    match Checkpoint::open(&newest, purpose) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(reason) => {
            let whole = |path: &PathBuf| Checkpoint::open(path, purpose).is_ok();
            Err(CheckpointError::NewestDamaged {
                newest,
                reason: Box::new(reason),
                previous: found.into_iter().map(|(_, path)| path).rev().find(whole),
            })
        }
    }
}

/// Puts right what an interrupted process left: unfinished saves and deletions are removed, a
/// checkpoint that was being replaced gets its name back if its successor is not there. To be
/// called by the process that holds the run.
///
/// # Errors
/// Any I/O error.
pub fn recover(checkpoints: &Path) -> Result<(), CheckpointError> {
    for name in entries(checkpoints)? {
        for kind in Leftover::ALL {
            let Some(checkpoint) = name.strip_prefix(kind.prefix()) else {
                continue;
            };
            let (path, target) = (checkpoints.join(&name), checkpoints.join(checkpoint));
            if kind == Leftover::Replaced && !target.exists() {
                fs::rename(&path, &target).map_err(CheckpointError::io("rename", &path))?;
            } else {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

/// Removes all but the newest `keep` checkpoints up to `iteration`. Later ones, left from before
/// the run was set back, are not counted and not touched.
pub(super) fn prune(
    checkpoints: &Path,
    iteration: u64,
    keep: usize,
) -> Result<(), CheckpointError> {
    if keep == 0 {
        return Ok(());
    }
    let found = list(checkpoints)?;
    let up_to = found.partition_point(|(other, _)| *other <= iteration);
    for (_, path) in &found[..up_to.saturating_sub(keep)] {
        // Deleting takes several steps; under its own name it would look whole between them.
        let deleting = Leftover::Deleting.path(path);
        remove(&deleting)?;
        fs::rename(path, &deleting).map_err(CheckpointError::io("rename", path))?;
        atomic_file::sync_directory(checkpoints)
            .map_err(CheckpointError::io("sync", checkpoints))?;
        remove(&deleting)?;
    }
    Ok(())
}

/// Removes a directory if it is there.
pub(super) fn remove(path: &Path) -> Result<(), CheckpointError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CheckpointError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn entries(directory: &Path) -> Result<Vec<String>, CheckpointError> {
    let read = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(CheckpointError::io("read", directory))?,
    };
    let mut names = Vec::new();
    for entry in read {
        let entry = entry.map_err(CheckpointError::io("read", directory))?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(names)
}
