//! The virtual GPU as a host sees it: memory, programs, launches.

use super::counters::Counters;
use super::error::VmError;
use super::program::Program;
use crate::launch::Arg;

/// How the virtual GPU runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// CPU threads that run blocks; 0 for one per core. Results do not depend on it.
    pub threads: usize,
    /// Warp instructions that one block may issue before it counts as runaway.
    pub budget: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { threads: 0, budget: 1 << 32 }
    }
}

/// A device without hardware: executes PTX on the CPU and checks what it does.
#[derive(Debug)]
pub struct VirtualGpu {
    config: Config,
}

impl VirtualGpu {
    /// A device with no allocations.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// How it runs.
    pub fn config(&self) -> Config {
        self.config
    }

    /// Device memory, 256-byte aligned, contents undefined (a read before a write is a fault).
    pub fn alloc(&self, bytes: usize) -> Result<u64, VmError> {
        Err(VmError::OutOfMemory { bytes })
    }

    /// Gives back what [`VirtualGpu::alloc`] returned.
    pub fn free(&self, address: u64) -> Result<(), VmError> {
        Err(VmError::Host(format!("free of {address:#x}, which is no allocation")))
    }

    /// Host to device.
    pub fn write(&self, address: u64, _bytes: &[u8]) -> Result<(), VmError> {
        Err(VmError::Host(format!("write at {address:#x}, outside every allocation")))
    }

    /// Device to host. Bytes that nothing wrote are read as they are.
    pub fn read(&self, address: u64, _bytes: &mut [u8]) -> Result<(), VmError> {
        Err(VmError::Host(format!("read at {address:#x}, outside every allocation")))
    }

    /// Sets bytes to zero.
    pub fn zero(&self, address: u64, _bytes: usize) -> Result<(), VmError> {
        Err(VmError::Host(format!("zero at {address:#x}, outside every allocation")))
    }

    /// Device to device; the ranges must not overlap.
    pub fn copy(&self, from: u64, _to: u64, _bytes: usize) -> Result<(), VmError> {
        Err(VmError::Host(format!("copy from {from:#x}, outside every allocation")))
    }

    /// Parses and decodes a PTX text. An opcode that is not known is an error here, not at the
    /// launch.
    pub fn load(&self, _ptx: &str) -> Result<Program, VmError> {
        Err(VmError::Parse { line: 1, message: "no PTX is understood yet".into() })
    }

    /// Runs an entry point to its end and says what it did. `shared_bytes` is the dynamic shared
    /// memory of a block. Which fault is reported does not depend on the number of threads: it
    /// is that of the lowest block that has one. After a fault the memory holds whatever was
    /// written until then.
    pub fn launch(
        &self,
        program: &Program,
        entry: &str,
        _grid: [u32; 3],
        _block: [u32; 3],
        _shared_bytes: u32,
        _args: &[Arg],
    ) -> Result<Counters, VmError> {
        Err(VmError::UnknownEntry { name: entry.into(), known: program.entries() })
    }
}
