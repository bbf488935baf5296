//! Drivers that note their launches: one that runs them, and one that wants their shapes alone.

use crate::gpu::{Driver, LaunchRecord, Ledger, Vm};

/// A driver that remembers its launches.
pub trait Noting: Driver {
    /// The launches since the last call, oldest first.
    fn take(&mut self) -> Vec<LaunchRecord>;
}

impl Noting for Vm {
    fn take(&mut self) -> Vec<LaunchRecord> {
        self.take_launches()
    }
}

impl Noting for Ledger {
    fn take(&mut self) -> Vec<LaunchRecord> {
        self.take_launches()
    }
}
