//! A directory that shards are written into, by one process at a time.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::set::{Split, list};
use super::writer::ShardWriter;
use crate::Error;
use crate::tokenizer::{INFO_FILE_NAME, TokenizerInfo};

/// A directory locked for writing.
///
/// Shards stay under temporary names until [`OutputDirectory::publish`], and
/// `tokenizer.json` comes last: a directory without it is incomplete, whenever
/// the process was killed.
pub struct OutputDirectory {
    path: PathBuf,
    /// Open for its lock, which the system gives back even if the process is killed.
    handle: File,
    overwrite: bool,
}

impl OutputDirectory {
    /// Makes the directory if need be and locks it. Refuses one that holds
    /// shards, unless `overwrite`; these then stay until the new ones are complete.
    /// Temporary files that a killed run left are removed.
    pub fn create(path: &Path, overwrite: bool) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let handle = File::open(path).map_err(Error::io("open", path))?;
        match handle.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::DirectoryLocked { dir: path.to_path_buf() });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
        }
        let directory = Self { path: path.to_path_buf(), handle, overwrite };
        if let (false, Some(found)) = (overwrite, directory.published()?.first()) {
            return Err(Error::DirectoryInUse {
                dir: path.to_path_buf(),
                found: found.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            });
        }
        directory.remove_leftovers()?;
        Ok(directory)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A writer of shards of one split (see [`ShardWriter::create`]).
    pub fn writer(&self, split: Split, tokens_per_shard: u64) -> Result<ShardWriter, Error> {
        ShardWriter::create(&self.path, split, tokens_per_shard)
    }

    /// Puts finished shards in the place of those there were, then writes
    /// `tokenizer.json`. Returns the shards' paths.
    pub fn publish(
        self,
        writers: Vec<ShardWriter>,
        info: TokenizerInfo,
    ) -> Result<Vec<PathBuf>, Error> {
        let mut writers = writers;
        for writer in &mut writers {
            writer.seal()?;
        }
        if self.overwrite {
            // tokenizer.json first: from here until the end the directory is incomplete.
            for path in self.published()? {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
            self.sync()?;
        }
        let mut paths = Vec::new();
        for writer in writers {
            paths.extend(writer.finish()?);
        }
        info.write(&self.path)?;
        Ok(paths)
    }

    /// `tokenizer.json` and the shards there are.
    fn published(&self) -> Result<Vec<PathBuf>, Error> {
        let mut paths = Vec::new();
        let info = self.path.join(INFO_FILE_NAME);
        if info.exists() {
            paths.push(info);
        }
        for split in [Split::Train, Split::Val] {
            paths.extend(list(&self.path, split)?);
        }
        Ok(paths)
    }

    fn remove_leftovers(&self) -> Result<(), Error> {
        let entries = fs::read_dir(&self.path).map_err(Error::io("list", &self.path))?;
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &self.path))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = [Split::Train, Split::Val]
                .iter()
                .any(|split| name.starts_with(&format!("{split}_")) && name.ends_with(".bin.tmp"));
            if ours || name == format!("{INFO_FILE_NAME}.tmp") {
                let path = entry.path();
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        self.handle.sync_all().map_err(Error::io("sync", &self.path))
    }
}
