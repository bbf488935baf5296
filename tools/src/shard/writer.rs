//! Writing shards of one split.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::header::{HEADER_BYTES, TOKEN_BYTES, header};
use super::set::Split;
use crate::Error;

/// The header counts tokens in a signed 32-bit word.
pub const MOST_TOKENS_PER_SHARD: u64 = i32::MAX as u64;

/// Bytes collected before a write, and moved at a time.
const BUFFER: usize = 1 << 20;

/// Fills shards one after the other, each to the last token.
///
/// Every shard stays under a temporary name (`train_000000.bin.tmp`) until
/// [`ShardWriter::finish`] has synced them all and renames them; dropped before
/// that, the writer removes them. Use one writer a split and directory (an
/// [`OutputDirectory`](super::OutputDirectory) sees to that).
pub struct ShardWriter {
    directory: PathBuf,
    split: Split,
    tokens_per_shard: u64,
    /// Tokens in each shard, the last of which may be open.
    counts: Vec<u64>,
    open: Option<BufWriter<File>>,
    /// Shards that already have their final name.
    renamed: usize,
}

impl ShardWriter {
    /// A writer of `split` shards into an existing directory. `tokens_per_shard`
    /// is between 1 and [`MOST_TOKENS_PER_SHARD`]. No file is made before the first token.
    pub fn create(directory: &Path, split: Split, tokens_per_shard: u64) -> Result<Self, Error> {
        if !(1..=MOST_TOKENS_PER_SHARD).contains(&tokens_per_shard) {
            return Err(Error::BadOption {
                option: "tokens_per_shard",
                found: tokens_per_shard.to_string(),
                expected: "1 to 2147483647",
            });
        }
        Ok(Self {
            directory: directory.to_path_buf(),
            split,
            tokens_per_shard,
            counts: Vec::new(),
            open: None,
            renamed: 0,
        })
    }

    /// Tokens written so far.
    pub fn tokens(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Shards begun so far.
    pub fn shards(&self) -> usize {
        self.counts.len()
    }

    /// Appends tokens, rolling over into new shards as they fill.
    pub fn write(&mut self, mut tokens: &[u16]) -> Result<(), Error> {
        while !tokens.is_empty() {
            let filled = match (&self.open, self.counts.last()) {
                (Some(_), Some(&count)) if count < self.tokens_per_shard => count,
                _ => {
                    self.seal()?;
                    self.begin_shard()?;
                    0
                }
            };
            let room = usize::try_from(self.tokens_per_shard - filled).unwrap_or(usize::MAX);
            let (now, later) = tokens.split_at(room.min(tokens.len()));
            if let (Some(file), Some(count)) = (&mut self.open, self.counts.last_mut()) {
                file.write_all(bytemuck::cast_slice(now))
                    .map_err(Error::io("write", &self.directory))?;
                *count += now.len() as u64;
            }
            tokens = later;
        }
        Ok(())
    }

    /// Moves everything from token `start` on to the end of another writer.
    pub fn move_tail(&mut self, start: u64, to: &mut ShardWriter) -> Result<(), Error> {
        self.seal()?;
        let mut first = 0;
        for index in 0..self.counts.len() {
            let count = self.counts[index];
            let keep = start.saturating_sub(first).min(count);
            if keep < count {
                self.move_from(index, keep, to)?;
            }
            first += count;
        }
        while self.counts.last() == Some(&0) {
            self.counts.pop();
            let path = self.temporary(self.counts.len());
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }

    /// Moves the tokens of a sealed shard beyond the first `keep`.
    fn move_from(&mut self, index: usize, keep: u64, to: &mut ShardWriter) -> Result<(), Error> {
        let path = self.temporary(index);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let kept_bytes = HEADER_BYTES as u64 + keep * TOKEN_BYTES as u64;
        file.seek(SeekFrom::Start(kept_bytes)).map_err(Error::io("read", &path))?;
        let mut left = usize::try_from(self.counts[index] - keep).unwrap_or(usize::MAX);
        let mut tokens = vec![0u16; left.min(BUFFER / TOKEN_BYTES)];
        while left > 0 {
            let now = left.min(tokens.len());
            file.read_exact(bytemuck::cast_slice_mut(&mut tokens[..now]))
                .map_err(Error::io("read", &path))?;
            to.write(&tokens[..now])?;
            left -= now;
        }
        file.set_len(kept_bytes)
            .and_then(|()| write_header(&mut file, keep))
            .map_err(Error::io("write", &path))?;
        self.counts[index] = keep;
        Ok(())
    }

    /// Completes the shard being written: its count, and everything on the disk.
    pub(super) fn seal(&mut self) -> Result<(), Error> {
        let (Some(open), Some(&count)) = (self.open.take(), self.counts.last()) else {
            return Ok(());
        };
        let path = self.temporary(self.counts.len() - 1);
        let seal = || -> std::io::Result<()> {
            let mut file = open.into_inner().map_err(|error| error.into_error())?;
            write_header(&mut file, count)
        };
        seal().map_err(Error::io("write", &path))
    }

    /// Gives every shard its final name, in order, and returns their paths.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, Error> {
        self.seal()?;
        let mut paths = Vec::with_capacity(self.counts.len());
        for index in 0..self.counts.len() {
            let path = self.directory.join(self.name(index));
            fs::rename(self.temporary(index), &path).map_err(Error::io("rename into", &path))?;
            self.renamed = index + 1;
            paths.push(path);
        }
        // The names must be on the disk before anybody says that they are.
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(Error::io("sync", &self.directory))?;
        Ok(paths)
    }

    fn begin_shard(&mut self) -> Result<(), Error> {
        let path = self.temporary(self.counts.len());
        let begin = || -> std::io::Result<BufWriter<File>> {
            let mut file = BufWriter::with_capacity(BUFFER, File::create(&path)?);
            // Zeros until the count is known: not a shard by any reading.
            file.write_all(&[0; HEADER_BYTES])?;
            Ok(file)
        };
        let file = begin().map_err(Error::io("create", &path))?;
        self.open = Some(file);
        self.counts.push(0);
        Ok(())
    }

    fn name(&self, index: usize) -> String {
        format!("{}_{index:06}.bin", self.split)
    }

    fn temporary(&self, index: usize) -> PathBuf {
        self.directory.join(format!("{}.tmp", self.name(index)))
    }
}

impl Drop for ShardWriter {
    fn drop(&mut self) {
        // Without flushing what was collected: the file goes anyway.
        if let Some(open) = self.open.take() {
            drop(open.into_parts());
        }
        // One more than was counted, in case its creation failed half-way.
        for index in self.renamed..=self.counts.len() {
            // Nobody is left to tell; the next run removes what this one could not.
            let _ = fs::remove_file(self.temporary(index));
        }
    }
}

fn write_header(file: &mut File, tokens: u64) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header(tokens))?;
    file.sync_all()
}
