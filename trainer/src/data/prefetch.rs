//! Batches that are read before they are wanted, on a thread of their own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{Builder, JoinHandle};

use ltm_engine::{HostBlock, profile};

use super::{DataError, Loader};

/// A batch as it is sent to a device.
#[derive(Debug)]
pub struct Batch {
    /// Filled by the function that [`Prefetch::new`] was given.
    pub block: HostBlock,
    /// Its windows.
    pub windows: Vec<u64>,
    /// Windows consumed once it is.
    pub position: u64,
}

/// The thread, and batches on their way from it. As many are read ahead as it has blocks.
pub struct Prefetch {
    blanks: Option<Sender<HostBlock>>,
    filled: Receiver<Result<Batch, DataError>>,
    /// What was wrong with the batch that comes next.
    failed: Option<DataError>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetch {
    /// Reads batches of `batch` windows from `position` on. `fill` lays tokens and targets out in a
    /// block.
    ///
    /// # Errors
    /// [`DataError::NoThread`].
    pub fn new(
        loader: Arc<Loader>,
        position: u64,
        batch: usize,
        fill: impl Fn(&mut HostBlock, &[i32], &[i32]) + Send + 'static,
    ) -> Result<Self, DataError> {
        let (blanks, empty) = channel::<HostBlock>();
        let (full, filled) = channel();
        let read = move || {
            let (mut tokens, mut targets) = (Vec::new(), Vec::new());
            let mut position = position;
            while let Ok(mut block) = empty.recv() {
                let _range = profile::range(c"loader");
                let windows = loader.windows_at(position, batch);
                let read = loader.read_windows(&windows, &mut tokens, &mut targets).map(|()| {
                    fill(&mut block, &tokens, &targets);
                    position += batch as u64;
                    Batch { block, windows, position }
                });
                // A batch that cannot be read stays the next one, which nobody will want.
                let over = read.is_err();
                if full.send(read).is_err() || over {
                    return;
                }
            }
        };
        let thread = Builder::new().name("loader".into()).spawn(read);
        let thread = Some(thread.map_err(|source| DataError::NoThread { source })?);
        Ok(Self { blanks: Some(blanks), filled, failed: None, thread })
    }

    /// Gives the thread a block to fill.
    pub fn give(&self, block: HostBlock) {
        if let Some(blanks) = &self.blanks {
            // A thread that has ended says why with the next batch.
            let _ = blanks.send(block);
        }
    }

    /// The next batch; waits for it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn next(&mut self) -> Result<Batch, DataError> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.filled.recv().unwrap_or(Err(DataError::LostThread)),
        }
    }

    /// The next batch if it has been read. What is wrong with it is told by [`Prefetch::next`].
    pub fn ready(&mut self) -> Option<Batch> {
        if self.failed.is_some() {
            return None;
        }
        match self.filled.try_recv() {
            Ok(Ok(batch)) => Some(batch),
            Ok(Err(error)) => {
                self.failed = Some(error);
                None
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.blanks = None;
        if let Some(thread) = self.thread.take() {
            // It ends at the first block that it does not get. A panic of it has been told.
            let _ = thread.join();
        }
    }
}
