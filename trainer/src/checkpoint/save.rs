//! Saving a checkpoint so that a crash at any instant leaves a whole one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::checksums::Checksums;
use super::directory::{self, Leftover};
use super::{
    CHECKSUMS, CONFIG, CheckpointError, MODEL, OPTIMIZER, Part, STATE, State, TensorSource,
};
use super::{optimizer_shapes, tensor_writer};
use crate::atomic_file;
use crate::config::Config;

/// Saves `checkpoints/iter_NNNNNNNN`, replacing one of the same iteration, and then removes all
/// but the newest `keep` (0 keeps all) up to it. Returns its directory.
///
/// # Errors
/// A full or read-only disk, values that cannot be fetched or are not finite, tensors of the
/// wrong length. The checkpoints there were are then all still there. A failure to remove old
/// ones is only logged, the new one being safe.
pub fn save(
    checkpoints: &Path,
    config: &Config,
    state: &State,
    tensors: &dyn TensorSource,
    keep: usize,
) -> Result<PathBuf, CheckpointError> {
    fs::create_dir_all(checkpoints).map_err(CheckpointError::io("create", checkpoints))?;
    let target = directory::path_of(checkpoints, state.iteration);
    let saving = Leftover::Saving.path(&target);
    if let Err(error) = write_all(&saving, config, state, tensors) {
        // Half a checkpoint is of no use, and its space may be what was missing.
        let _ = fs::remove_dir_all(&saving);
        return Err(error);
    }
    publish(&saving, &target)?;
    let tidied = directory::remove(&Leftover::Replaced.path(&target))
        .and_then(|()| directory::prune(checkpoints, state.iteration, keep));
    if let Err(error) = tidied {
        tracing::warn!("old checkpoints remain: {error}");
    }
    Ok(target)
}

fn write_all(
    into: &Path,
    config: &Config,
    state: &State,
    tensors: &dyn TensorSource,
) -> Result<(), CheckpointError> {
    directory::remove(into)?;
    fs::create_dir(into).map_err(CheckpointError::io("create", into))?;
    let shapes = config.parameter_shapes();
    let fetch = |part: Part, parameter: usize| {
        tensors.tensor(part, parameter).map_err(|source| CheckpointError::Fetch {
            name: part.name(&shapes[parameter].0),
            source,
        })
    };
    let mut checksums = Checksums::default();
    let of_model = &mut |name: &str, checksum| checksums.add(MODEL, name, checksum);
    let weight = |parameter| fetch(Part::Weight, parameter);
    tensor_writer::write(&into.join(MODEL), &shapes, weight, of_model)?;
    let moments = optimizer_shapes(config);
    let moment = |place: usize| match place.checked_sub(shapes.len()) {
        None => fetch(Part::FirstMoment, place),
        Some(parameter) => fetch(Part::SecondMoment, parameter),
    };
    let of_optimizer = &mut |name: &str, checksum| checksums.add(OPTIMIZER, name, checksum);
    tensor_writer::write(&into.join(OPTIMIZER), &moments, moment, of_optimizer)?;
    write_json(&into.join(CHECKSUMS), &checksums)?;
    write_json(&into.join(CONFIG), config)?;
    write_json(&into.join(STATE), state)?;
    atomic_file::sync_directory(into).map_err(CheckpointError::io("sync", into))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), CheckpointError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| {
        CheckpointError::BrokenJson { path: path.to_owned(), message: error.to_string() }
    })?;
    bytes.push(b'\n');
    File::create(path)
        .and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        })
        .map_err(CheckpointError::io("write", path))
}

/// Gives a complete checkpoint its name. One that has the name already steps aside first; between
/// the two renames a crash leaves it under its other name, from which `recover` brings it back.
fn publish(saving: &Path, target: &Path) -> Result<(), CheckpointError> {
    let replaced = Leftover::Replaced.path(target);
    let rename =
        |from: &Path, to: &Path| fs::rename(from, to).map_err(CheckpointError::io("rename", from));
    directory::remove(&replaced)?;
    let replaces = target.exists();
    if replaces {
        rename(target, &replaced)?;
    }
    if let Err(error) = rename(saving, target) {
        if replaces {
            rename(&replaced, target)?;
        }
        return Err(error);
    }
    atomic_file::sync_parent(target).map_err(CheckpointError::io("sync", target))
}
