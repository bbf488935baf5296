//! A driver that notes launches and runs none, for their shapes.

use ltm_ptx::Launch;
use ltm_ptx::vm::counters::Counters;

use crate::Result;
use crate::gpu::{Driver, LaunchRecord, Release, Vm};

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

/// Every block gets addresses of its own, and no block has contents: all of it reads as zero.
#[derive(Default)]
pub struct Unrun {
    /// Bytes handed out so far.
    used: u64,
    launches: Vec<LaunchRecord>,
}

/// What blocks are aligned to, and the first address.
const ALIGNMENT: u64 = 256;

impl Noting for Unrun {
    fn take(&mut self) -> Vec<LaunchRecord> {
        std::mem::take(&mut self.launches)
    }
}

impl Driver for Unrun {
    fn name(&self) -> String {
        "a device that runs nothing".into()
    }

    fn alloc(&mut self, bytes: usize) -> Result<(u64, Release)> {
        let address = ALIGNMENT + self.used;
        self.used += (bytes as u64).max(1).next_multiple_of(ALIGNMENT);
        Ok((address, Box::new(|_, _| ())))
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
        let Launch { entry, grid, block, shared_bytes, .. } = *launch;
        let counters = Counters::default();
        self.launches.push(LaunchRecord { entry, grid, block, shared_bytes, counters });
        Ok(())
    }

    fn synchronize(&mut self) -> Result<()> {
        Ok(())
    }
}
