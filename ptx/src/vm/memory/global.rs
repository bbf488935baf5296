//! Global memory as the host sees it.

use super::error::MemoryError;
use super::launch::{LaunchMemory, Run};

/// The global memory of a virtual device. Allocations lie apart in a 64-bit address space of
/// their own, and no address is given out twice.
pub struct GlobalMemory {}

#[allow(unused_variables)]
impl GlobalMemory {
    /// A memory of at most `budget` bytes.
    pub fn new(budget: u64) -> Self {
        unimplemented!()
    }

    /// A new allocation; nothing in it is initialised. Aligned to 256 bytes.
    ///
    /// # Errors
    /// [`MemoryError::Budget`].
    pub fn alloc(&self, bytes: u64) -> Result<u64, MemoryError> {
        unimplemented!()
    }

    /// Gives an allocation back.
    ///
    /// # Errors
    /// [`MemoryError::NotAllocated`].
    pub fn free(&self, address: u64) -> Result<(), MemoryError> {
        unimplemented!()
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn write(&self, address: u64, from: &[u8]) -> Result<(), MemoryError> {
        unimplemented!()
    }

    /// Reads bytes, initialised or not (see [`GlobalMemory::initialised`]).
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<(), MemoryError> {
        unimplemented!()
    }

    /// Sets bytes to zero.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn zero(&self, address: u64, bytes: u64) -> Result<(), MemoryError> {
        unimplemented!()
    }

    /// Copies bytes and what is known of them; the ranges may overlap.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), MemoryError> {
        unimplemented!()
    }

    /// Whether something wrote each of these bytes.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn initialised(&self, address: u64, bytes: u64) -> Result<bool, MemoryError> {
        unimplemented!()
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        unimplemented!()
    }

    /// Begins a launch of `blocks` blocks: the allocations as they are now.
    ///
    /// # Errors
    /// [`MemoryError::Blocks`].
    pub fn launch(&self, blocks: u64, run: Run) -> Result<LaunchMemory, MemoryError> {
        unimplemented!()
    }
}
