//! Batches of windows.

use std::path::{Path, PathBuf};

use ltm_tools::shard::{ShardSet, Split};
use ltm_tools::tokenizer::TokenizerInfo;

use super::{DataError, Permutation, Windows, evenly_spaced};

/// Reads batches of windows from the shards of one split. Each epoch visits every window once, in
/// an order fixed by (seed, epoch), so the number of windows consumed is all there is to save.
#[derive(Debug)]
pub struct Loader {
    dir: PathBuf,
    shards: ShardSet,
    tokenizer: TokenizerInfo,
    windows: Windows,
    seq_len: usize,
    vocab_size: usize,
    seed: u64,
    position: u64,
}

impl Loader {
    /// Opens the shards of a split in a directory that `ltm tokenize` completed. `vocab_size` is
    /// the model's: ids must be below it.
    ///
    /// # Errors
    /// A missing `tokenizer.json`, no shards of the split, damaged shards, a tokenizer with more
    /// ids than the model, or a corpus shorter than one window.
    pub fn open(
        dir: &Path,
        split: Split,
        seq_len: usize,
        seed: u64,
        vocab_size: usize,
    ) -> Result<Self, DataError> {
        if seq_len == 0 {
            return Err(DataError::NoLength);
        }
        if !dir.is_dir() {
            return Err(DataError::NoDirectory { dir: dir.to_owned() });
        }
        let tokenizer = TokenizerInfo::read(dir)?;
        if tokenizer.vocab_size as usize > vocab_size {
            return Err(DataError::Vocabulary {
                dir: dir.to_owned(),
                tokenizer: tokenizer.tokenizer.name(),
                found: tokenizer.vocab_size,
                vocab_size,
            });
        }
        let shards = ShardSet::open(dir, split)?;
        let lengths = || shards.shards().iter().map(|shard| shard.len());
        let windows = Windows::new(seq_len, lengths());
        if windows.count() == 0 {
            return Err(DataError::TooShort {
                dir: dir.to_owned(),
                split: split.name(),
                longest: lengths().max().unwrap_or(0),
                seq_len,
            });
        }
        Ok(Self {
            dir: dir.to_owned(),
            shards,
            tokenizer,
            windows,
            seq_len,
            vocab_size,
            seed,
            position: 0,
        })
    }

    /// The tokenizer of the corpus.
    pub fn tokenizer(&self) -> TokenizerInfo {
        self.tokenizer
    }

    /// Windows of the split, which is the length of an epoch.
    pub fn windows(&self) -> u64 {
        self.windows.count()
    }

    /// Tokens of the split, those outside any window included.
    pub fn tokens(&self) -> u64 {
        self.shards.tokens()
    }

    /// Windows consumed since the start of the run.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The epoch, from 0, of the next window.
    pub fn epoch(&self) -> u64 {
        self.position / self.windows()
    }

    /// Continues after `position` consumed windows.
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// Continues a run that recorded this tokenizer, number of windows and position.
    ///
    /// # Errors
    /// A corpus with another tokenizer or another number of windows.
    pub fn resume(
        &mut self,
        tokenizer: &str,
        windows: u64,
        position: u64,
    ) -> Result<(), DataError> {
        self.expect_tokenizer(tokenizer)?;
        if windows != self.windows() {
            return Err(DataError::CorpusChanged {
                dir: self.dir.clone(),
                seq_len: self.seq_len,
                found: self.windows(),
                recorded: windows,
            });
        }
        self.seek(position);
        Ok(())
    }

    /// Checks that the corpus was made with the tokenizer that a run recorded.
    ///
    /// # Errors
    /// [`DataError::OtherTokenizer`].
    pub fn expect_tokenizer(&self, recorded: &str) -> Result<(), DataError> {
        let found = self.tokenizer.tokenizer.name();
        match found == recorded {
            true => Ok(()),
            false => Err(DataError::OtherTokenizer {
                dir: self.dir.clone(),
                found,
                recorded: recorded.to_owned(),
            }),
        }
    }

    /// Replaces the contents of `tokens` and `targets` by the next `batch` windows, each
    /// `[batch, seq_len]`, and moves on. A batch may span two epochs.
    ///
    /// # Errors
    /// An id beyond the model's vocabulary, with its shard and position; the loader then has not
    /// moved.
    pub fn next_batch(
        &mut self,
        batch: usize,
        tokens: &mut Vec<i32>,
        targets: &mut Vec<i32>,
    ) -> Result<(), DataError> {
        let windows = self.next_windows(batch);
        self.read_windows(&windows, tokens, targets)?;
        self.position += batch as u64;
        Ok(())
    }

    /// Numbers of the windows that the next `batch` will be, without moving on.
    pub fn next_windows(&self, batch: usize) -> Vec<u64> {
        self.windows_at(self.position, batch)
    }

    /// Numbers of the `batch` windows that follow `position` consumed ones.
    pub fn windows_at(&self, position: u64, batch: usize) -> Vec<u64> {
        let mut epoch = position / self.windows();
        let mut order = Permutation::new(self.windows(), self.seed, epoch);
        let mut windows = Vec::with_capacity(batch);
        for place in position..position + batch as u64 {
            if place / self.windows() != epoch {
                epoch = place / self.windows();
                order = Permutation::new(self.windows(), self.seed, epoch);
            }
            windows.push(order.at(place % self.windows()));
        }
        windows
    }

    /// Numbers of `wanted` windows spread evenly over the split, the same in every run; all of
    /// them where there are fewer. For validation.
    pub fn fixed_windows(&self, wanted: usize) -> Vec<u64> {
        evenly_spaced(self.windows(), wanted as u64).collect()
    }

    /// Replaces the contents of `tokens` and `targets` by these windows, each
    /// `[windows, seq_len]`. Does not move the loader.
    ///
    /// # Errors
    /// No such window, or an id beyond the model's vocabulary.
    pub fn read_windows(
        &self,
        windows: &[u64],
        tokens: &mut Vec<i32>,
        targets: &mut Vec<i32>,
    ) -> Result<(), DataError> {
        tokens.clear();
        targets.clear();
        for &window in windows {
            if window >= self.windows() {
                return Err(DataError::NoSuchWindow { window, windows: self.windows() });
            }
            self.append(window, tokens, targets)?;
        }
        Ok(())
    }

    fn append(
        &self,
        window: u64,
        tokens: &mut Vec<i32>,
        targets: &mut Vec<i32>,
    ) -> Result<(), DataError> {
        let (shard, start) = self.windows.locate(window);
        let shard = &self.shards.shards()[shard];
        let ids = &shard.tokens()[start..=start + self.seq_len];
        let beyond = |id: &u16| usize::from(*id) >= self.vocab_size;
        if let Some(offset) = ids.iter().position(beyond) {
            return Err(DataError::Shards(ltm_tools::Error::OutOfVocabulary {
                path: shard.path().to_owned(),
                position: (start + offset) as u64,
                token: ids[offset],
                vocab_size: self.vocab_size as u32,
            }));
        }
        tokens.extend(ids[..self.seq_len].iter().map(|&id| i32::from(id)));
        targets.extend(ids[1..].iter().map(|&id| i32::from(id)));
        shard.release();
        Ok(())
    }
}
