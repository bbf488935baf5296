//! All shards of a split.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::map::Shard;
use crate::Error;

/// Which part of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// For training.
    Train,
    /// For validation.
    Val,
}

impl Split {
    /// `train` or `val`, as in file names.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The shards of a split, sorted by name.
#[derive(Debug)]
pub struct ShardSet {
    shards: Vec<Shard>,
}

impl ShardSet {
    /// Opens the shards of `split` in a directory, or one shard named outright
    /// (of whatever split).
    ///
    /// In a directory, the `.bin` files count whose name has the split's name
    /// as a part: `train_000000.bin`, `fineweb_train_000001.bin`, `train.bin`.
    pub fn open(path: &Path, split: Split) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(Error::io("open", path))?;
        let paths = if metadata.is_dir() { list(path, split)? } else { vec![path.to_path_buf()] };
        if paths.is_empty() {
            return Err(Error::NoShards { path: path.to_path_buf(), split: split.name() });
        }
        let shards = paths.iter().map(|path| Shard::open(path)).collect::<Result<_, Error>>()?;
        Ok(Self { shards })
    }

    /// The shards, sorted by name.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Number of tokens in all shards.
    pub fn tokens(&self) -> u64 {
        self.shards.iter().map(|shard| shard.len() as u64).sum()
    }

    /// The largest token in all shards, read on all cores.
    pub fn max_token_id(&self) -> u16 {
        let largest = self.shards.iter().map(Shard::max_token_id).max();
        largest.unwrap_or(0)
    }

    /// Fails, naming shard and position, if a token is not below `vocab_size`.
    pub fn validate_vocab(&self, vocab_size: u32) -> Result<(), Error> {
        self.shards.iter().try_for_each(|shard| shard.validate_vocab(vocab_size))
    }
}

/// The shards of a split in a directory, sorted.
pub(super) fn list(directory: &Path, split: Split) -> Result<Vec<PathBuf>, Error> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if is_shard_name(&entry.file_name().to_string_lossy(), split) {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    };
    read().map_err(Error::io("list", directory))
}

fn is_shard_name(name: &str, split: Split) -> bool {
    name.strip_suffix(".bin")
        .is_some_and(|stem| stem.split(['_', '-', '.']).any(|part| part == split.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_split() {
        for name in ["train_000000.bin", "fineweb_train_000001.bin", "train.bin"] {
            assert!(is_shard_name(name, Split::Train), "{name}");
            assert!(!is_shard_name(name, Split::Val), "{name}");
        }
        for name in ["train_000000.bin.tmp", "training_0.bin", "train_0.txt"] {
            assert!(!is_shard_name(name, Split::Train), "{name}");
        }
    }
}
