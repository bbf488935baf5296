//! A shard, mapped into memory.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::{Advice, Mmap, UncheckedAdvice};
use rayon::prelude::*;

use super::header::{self, ShardFormat};
use crate::Error;

/// A shard's tokens, read in place.
///
/// The mapped pages are clean and shared: the kernel drops them when memory is
/// wanted, although they count towards the process's resident size.
pub struct Shard {
    path: PathBuf,
    format: ShardFormat,
    map: Mmap,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("tokens", &self.len())
            .finish()
    }
}

/// Tokens checked at a time.
const CHUNK: usize = 1 << 20;

impl Shard {
    /// Opens a shard. A file without a header is read as raw tokens, unless it
    /// is called `train_*.bin` or `val_*.bin`: under these names our own writer
    /// always writes a header, so one without is damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ours = name.starts_with("train_") || name.starts_with("val_");
        Self::open_with(path, !ours)
    }

    /// Opens a shard; `allow_raw` says whether a file without a header is one.
    pub fn open_with(path: &Path, allow_raw: bool) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let metadata = file.metadata().map_err(Error::io("read", path))?;
        if !metadata.is_file() {
            return Err(Error::ShardFormat {
                path: path.to_path_buf(),
                reason: "it is not a file".to_owned(),
            });
        }
        // A mapping of no bytes is an error of its own on most systems.
        if metadata.len() == 0 {
            return Err(Error::EmptyShard { path: path.to_path_buf() });
        }
        // SAFETY: the mapping is read-only and private to this value. Nobody may
        // truncate or rewrite the file meanwhile: our writer never touches a shard
        // after renaming it into place (a new run replaces the name, not the file).
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
        let format = header::check(path, &map, allow_raw)?;
        let shard = Self { path: path.to_path_buf(), format, map };
        shard.advise(Advice::Random);
        Ok(shard)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// With or without a header.
    pub fn format(&self) -> ShardFormat {
        self.format
    }

    /// Size of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// The tokens.
    pub fn tokens(&self) -> &[u16] {
        // A map begins on a page and the header has an even number of bytes, so the
        // cast cannot fail; the size was checked when it was opened.
        bytemuck::try_cast_slice(&self.map[self.format.tokens_at()..]).unwrap_or_default()
    }

    /// Says that no token will be read again soon. The pages stay in the kernel's cache but leave
    /// the resident size of the process, which would otherwise grow to that of the corpus. All of
    /// them, because reading one token maps pages around its own too.
    pub fn release(&self) {
        // SAFETY: the map is of a file, read-only and shared: whoever reads it again, through this
        // value or a slice of it, finds the file's content.
        let _ = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) };
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        (self.map.len() - self.format.tokens_at()) / header::TOKEN_BYTES
    }

    /// Never true: a shard without tokens does not open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The largest token, read on all cores.
    pub fn max_token_id(&self) -> u16 {
        self.scan(|tokens| {
            tokens
                .par_chunks(CHUNK)
                .map(|chunk| chunk.iter().copied().max().unwrap_or(0))
                .max()
                .unwrap_or(0)
        })
    }

    /// Fails, naming the place, if a token is not below `vocab_size`.
    pub fn validate_vocab(&self, vocab_size: u32) -> Result<(), Error> {
        if u32::from(self.max_token_id()) < vocab_size {
            return Ok(());
        }
        let outside = |token: &u16| u32::from(*token) >= vocab_size;
        let tokens = self.tokens();
        match tokens.par_iter().position_first(outside) {
            None => Ok(()),
            Some(position) => Err(Error::OutOfVocabulary {
                path: self.path.clone(),
                position: position as u64,
                token: tokens[position],
                vocab_size,
            }),
        }
    }

    /// Reads all tokens with the kernel's read-ahead on.
    pub(super) fn scan<T>(&self, read: impl FnOnce(&[u16]) -> T) -> T {
        self.advise(Advice::Sequential);
        let result = read(self.tokens());
        self.advise(Advice::Random);
        result
    }

    fn advise(&self, advice: Advice) {
        // Advice is only that: where the kernel does not take it, reading works the same.
        let _ = self.map.advise(advice);
    }
}
