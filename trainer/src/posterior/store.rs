//! Posteriors of earlier visits, from which warm starts begin.
//!
//! ```text
//! RUN/posteriors.bin   header: magic, windows, numbers, iterations of the last checkpoint (u64 LE)
//!                      for each window two slots: stamp (u64 LE), mu, logvar ([N, D] f32 LE each)
//! ```
//!
//! A stamp is the number of iterations after which the posterior was written, 0 for none. Of the two
//! slots of a window the one that the last checkpoint sees, the newest stamped no later than it, is
//! never overwritten; so a run that resumes from that checkpoint, after whatever end, reads what it
//! read before. Later stamps are of a course that the run takes once more: it writes such a slot
//! again before it reads it. The file has holes where no window was visited.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ltm_engine::{Device, DeviceExt};

use crate::Result;
use crate::config::ModelConfig;
use crate::workspace::Workspace;

const MAGIC: u64 = u64::from_le_bytes(*b"ltmpost1");
const WORD: usize = size_of::<u64>();
const HEADER: usize = 4 * WORD;
const SLOTS: u64 = 2;

/// Why kept posteriors cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} the posteriors {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Not this run's file.
    #[error(
        "{}: {what} is {found}, expected {expected}; put the file of this run back", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// As the file has it.
        found: u64,
        /// As the run has it.
        expected: u64,
    },
    /// The file belongs to a later checkpoint than the one at hand.
    #[error(
        "{}: the posteriors were kept with the checkpoint after {found} iterations, and the run \
         would go on after {expected}; put that checkpoint back, or start a new run",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Iterations of its last checkpoint.
        found: u64,
        /// Iterations of the checkpoint at hand.
        expected: u64,
    },
}

/// The posteriors of the windows of a corpus, `numbers` latent numbers each.
#[derive(Debug)]
pub struct PosteriorStore {
    path: PathBuf,
    file: File,
    windows: u64,
    numbers: usize,
    /// Iterations of the last checkpoint.
    committed: u64,
    slot: Vec<u8>,
}

impl PosteriorStore {
    /// The file's length for `windows` windows; its blocks are taken as windows are visited.
    pub fn bytes(model: &ModelConfig, windows: u64) -> u64 {
        let slot = WORD as u64 + 8 * (model.latents * model.dim) as u64;
        (HEADER as u64).saturating_add(windows.saturating_mul(SLOTS).saturating_mul(slot))
    }

    /// Opens the posteriors of a run that goes on from the checkpoint after `iteration` iterations,
    /// or begins an empty file if that is 0.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        path: &Path,
        model: &ModelConfig,
        windows: u64,
        iteration: u64,
    ) -> std::result::Result<Self, StoreError> {
        let begins = iteration == 0;
        let io = |action| move |source| StoreError::Io { action, path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(begins).truncate(begins).open(path);
        let file = file.map_err(io("open"))?;
        let mut store = Self {
            path: path.to_owned(),
            file,
            windows,
            numbers: model.latents * model.dim,
            committed: iteration,
            slot: Vec::new(),
        };
        store.slot = vec![0; store.slot_bytes()];
        if begins {
            store.file.set_len(Self::bytes(model, windows)).map_err(io("make room for"))?;
        } else {
            store.check_header(Self::bytes(model, windows))?;
        }
        store.write_header()?;
        Ok(store)
    }

    fn slot_bytes(&self) -> usize {
        WORD + 2 * size_of::<f32>() * self.numbers
    }

    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |source| StoreError::Io { action, path, source }
    }

    fn check_header(&self, bytes: u64) -> std::result::Result<(), StoreError> {
        let mut header = [0; HEADER];
        self.read_at(0, &mut header).map_err(self.io("read"))?;
        let words = header.as_chunks::<WORD>().0;
        let [magic, windows, numbers, committed] =
            [0, 1, 2, 3].map(|i: usize| u64::from_le_bytes(words[i]));
        let length = self.file.metadata().map_err(self.io("read"))?.len();
        for (what, found, expected) in [
            ("the first word", magic, MAGIC),
            ("the number of windows", windows, self.windows),
            ("the number of latent numbers", numbers, self.numbers as u64),
            ("the length", length, bytes),
        ] {
            if found != expected {
                return Err(StoreError::Foreign { path: self.path.clone(), what, found, expected });
            }
        }
        match committed > self.committed {
            false => Ok(()),
            true => Err(StoreError::Newer {
                path: self.path.clone(),
                found: committed,
                expected: self.committed,
            }),
        }
    }

    fn write_header(&self) -> std::result::Result<(), StoreError> {
        let words = [MAGIC, self.windows, self.numbers as u64, self.committed];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.write_at(0, &bytes).map_err(self.io("write"))
    }

    fn read_at(&self, place: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(bytes)
    }

    fn write_at(&self, place: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place))?;
        file.write_all(bytes)
    }

    fn place(&self, window: u64, slot: u64) -> u64 {
        HEADER as u64 + (window * SLOTS + slot) * self.slot_bytes() as u64
    }

    /// Slot and stamp of the newest posterior of a window no later than `iteration`.
    fn newest(
        &self,
        window: u64,
        iteration: u64,
    ) -> std::result::Result<Option<(u64, u64)>, StoreError> {
        let mut newest = None;
        for slot in 0..SLOTS {
            let mut stamp = [0; WORD];
            self.read_at(self.place(window, slot), &mut stamp).map_err(self.io("read"))?;
            let stamp = u64::from_le_bytes(stamp);
            if (1..=iteration).contains(&stamp) && newest.is_none_or(|(_, best)| stamp > best) {
                newest = Some((slot, stamp));
            }
        }
        Ok(newest)
    }

    /// Reads mu and logvar as iteration `iteration` (from 0) finds them; false if the window was not
    /// visited before it.
    ///
    /// # Errors
    /// An unreadable file.
    pub fn read(
        &mut self,
        window: u64,
        iteration: u64,
        mu: &mut [f32],
        logvar: &mut [f32],
    ) -> std::result::Result<bool, StoreError> {
        let Some((slot, _)) = self.newest(window, iteration)? else { return Ok(false) };
        let mut bytes = std::mem::take(&mut self.slot);
        let read = self.read_at(self.place(window, slot), &mut bytes);
        let values = bytes[WORD..].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
        mu.iter_mut().chain(logvar).zip(values).for_each(|(to, from)| *to = from);
        self.slot = bytes;
        read.map_err(self.io("read"))?;
        Ok(true)
    }

    /// Keeps mu and logvar of a window as iteration `iteration` (from 0) left them.
    ///
    /// # Errors
    /// A full disk among others; what the last checkpoint sees is as it was.
    pub fn write(
        &mut self,
        window: u64,
        iteration: u64,
        mu: &[f32],
        logvar: &[f32],
    ) -> std::result::Result<(), StoreError> {
        // The other slot than the one that the last checkpoint sees.
        let slot = self.newest(window, self.committed)?.map_or(0, |(slot, _)| 1 - slot);
        let stamp = (iteration + 1).to_le_bytes();
        let values = mu.iter().chain(logvar).flat_map(|x| x.to_le_bytes());
        self.slot.iter_mut().zip(stamp.into_iter().chain(values)).for_each(|(to, from)| *to = from);
        let at = self.place(window, slot);
        self.write_at(at, &self.slot).map_err(self.io("write"))
    }

    /// Makes what was kept durable, before a checkpoint that sees it gets its name.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn sync(&self) -> std::result::Result<(), StoreError> {
        self.file.sync_data().map_err(self.io("sync"))
    }

    /// Protects what the checkpoint after `iteration` iterations sees, which has been saved.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn commit(&mut self, iteration: u64) -> std::result::Result<(), StoreError> {
        self.committed = iteration;
        self.write_header()
    }
}

/// The warm starts of one iteration: what the windows of its batch read, and will keep.
pub struct Visit<'a> {
    store: &'a mut PosteriorStore,
    windows: &'a [u64],
    iteration: u64,
    /// `[batch, N, D]`, means and log variances.
    kept: [Vec<f32>; 2],
}

impl<'a> Visit<'a> {
    /// For the batch of these windows in iteration `iteration` (from 0).
    pub fn new(store: &'a mut PosteriorStore, windows: &'a [u64], iteration: u64) -> Self {
        Self { store, windows, iteration, kept: [Vec::new(), Vec::new()] }
    }

    /// Replaces the random start of the sequences from `first` on by their last posteriors, where
    /// they have one.
    ///
    /// # Errors
    /// An unreadable file, or a device that fails.
    pub fn begin(
        &mut self,
        device: &mut dyn Device,
        workspace: &Workspace,
        first: usize,
    ) -> Result<()> {
        let n = workspace.gaussian.per_sample();
        let (mut mu, mut logvar) = (vec![0.0; n], vec![0.0; n]);
        for sample in 0..workspace.shape.batch {
            let window = self.windows[first + sample];
            if self.store.read(window, self.iteration, &mut mu, &mut logvar)? {
                let own = sample * n..(sample + 1) * n;
                device.upload(&workspace.mu.slice(own.clone())?, &mu)?;
                device.upload(&workspace.logvar.slice(own)?, &logvar)?;
            }
        }
        Ok(())
    }

    /// Notes the inferred posteriors of the next sequences. Waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn note(&mut self, device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
        self.kept[0].extend(device.read::<f32>(&workspace.mu)?);
        self.kept[1].extend(device.read::<f32>(&workspace.logvar)?);
        Ok(())
    }

    /// Keeps what was noted, now that the iteration is whole. Of a window that the batch has twice,
    /// the later one stays.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn keep(self) -> Result<()> {
        let n = self.store.numbers.max(1);
        let [mu, logvar] = &self.kept;
        for (&window, (mu, logvar)) in self.windows.iter().zip(mu.chunks(n).zip(logvar.chunks(n))) {
            self.store.write(window, self.iteration, mu, logvar)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
