//! A driver that keeps the books of a GPU's memory and nothing else: no byte exists and nothing
//! runs. What is allocated through it is what a GPU would be asked for.

use std::sync::{Arc, Mutex, PoisonError};

use ltm_ptx::Launch;
use ltm_ptx::vm::Counters;

use super::{Driver, Gpu, LaunchRecord, Release};
use crate::{Error, GPU_GRANULE, MemoryInfo, MemoryUse, Result};

/// The books. Downloads are zeros.
pub struct Ledger {
    next: u64,
    usage: Arc<Mutex<MemoryUse>>,
    /// Launches, where they are noted.
    launches: Option<Vec<LaunchRecord>>,
}

impl Default for Ledger {
    fn default() -> Self {
        // No block has the address 0, which stands for an argument that is not there.
        Self { next: GPU_GRANULE as u64, usage: Arc::default(), launches: None }
    }
}

impl Ledger {
    /// Books that note launches too.
    pub fn noting() -> Self {
        Self { launches: Some(Vec::new()), ..Self::default() }
    }

    /// The launches noted since the last call, oldest first; all counts are 0.
    pub fn take_launches(&mut self) -> Vec<LaunchRecord> {
        self.launches.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Gpu<Ledger> {
    /// A device that counts what it would allocate. Its operations check their arguments.
    pub fn ledger() -> Self {
        Self::new(Ledger::default())
    }
}

impl Driver for Ledger {
    fn name(&self) -> String {
        "the plan of a GPU".into()
    }

    fn alloc(&mut self, bytes: usize) -> Result<(u64, Release)> {
        let over = || Error::OutOfMemory { bytes, device: self.name() };
        // Nothing is an address too.
        let charged = (bytes.max(1) as u64).checked_next_multiple_of(GPU_GRANULE as u64);
        let charged = charged.ok_or_else(over)?;
        let address = self.next;
        self.next = address.checked_add(charged).ok_or_else(over)?;
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.used += charged;
        usage.peak = usage.peak.max(usage.used);
        usage.allocations += 1;
        let books = Arc::clone(&self.usage);
        let release = move |_: usize, _: usize| {
            books.lock().unwrap_or_else(PoisonError::into_inner).used -= charged;
        };
        Ok((address, Box::new(release)))
    }

    fn memory(&self) -> Option<MemoryInfo> {
        None
    }

    fn usage(&self) -> Option<MemoryUse> {
        Some(*self.usage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn upload(&mut self, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn download(&mut self, _: u64, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(0);
        Ok(())
    }

    fn copy(&mut self, _: u64, _: u64, _: usize) -> Result<()> {
        Ok(())
    }

    fn zero(&mut self, _: u64, _: usize) -> Result<()> {
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        if let Some(launches) = &mut self.launches {
            let Launch { entry, grid, block, shared_bytes, .. } = *launch;
            let counters = Counters::default();
            launches.push(LaunchRecord { entry, grid, block, shared_bytes, counters });
        }
        Ok(())
    }

    fn synchronize(&mut self) -> Result<()> {
        Ok(())
    }
}
