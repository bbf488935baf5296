//! A GPU in use: its context, its two streams, and the memory that is not given back yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::Code;
use super::api::{Api, Handle, Outcome};
use super::error::CudaError;
use super::survey::GpuInfo;

/// Sizes of blocks are multiples of this, which is also how the driver aligns them.
const UNIT: usize = 256;

/// What lives as long as any block of its memory.
pub struct Context<A: Api> {
    /// The driver.
    pub api: A,
    /// Which GPU.
    pub gpu: GpuInfo,
    /// Kernels, zeroing and copies inside the device, in the order of the calls.
    pub compute: Handle,
    /// Copies from and to the host.
    pub copies: Handle,
    handle: Handle,
    /// Blocks that nobody holds, by their size. They are used again without waiting: whatever
    /// is put into a stream for the next owner comes after what the last one put there.
    idle: Mutex<BTreeMap<usize, Vec<u64>>>,
    /// Recordings that can be launched. They may outlive their device, and go with it.
    executables: Mutex<BTreeSet<Handle>>,
}

impl<A: Api> Context<A> {
    /// Takes a GPU into use.
    pub fn new(api: A, gpu: GpuInfo) -> Result<Self, CudaError> {
        let device = gpu.ordinal;
        let handle =
            api.retain_context(device).map_err(|e| CudaError::call("making a context", e))?;
        let streams = api.enter(handle).and_then(|()| {
            let compute = api.create_stream()?;
            match api.create_stream() {
                Ok(copies) => Ok((compute, copies)),
                Err(code) => {
                    // The first error is the one that tells.
                    let _ = api.destroy_stream(compute);
                    Err(code)
                }
            }
        });
        match streams {
            Ok((compute, copies)) => {
                let (idle, executables) = Default::default();
                Ok(Self { api, gpu, compute, copies, handle, idle, executables })
            }
            Err(code) => {
                // As above.
                let _ = api.release_context(device);
                Err(CudaError::call("making a stream", code))
            }
        }
    }

    /// Makes the context current on the calling thread, which may differ from call to call.
    pub fn enter(&self) -> Outcome<()> {
        self.api.enter(self.handle)
    }

    /// A block of at least `bytes`.
    pub fn alloc(&self, bytes: usize) -> Outcome<u64> {
        self.enter()?;
        let size = size(bytes).ok_or(Code::OUT_OF_MEMORY)?;
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(&size)
            .and_then(Vec::pop);
        if let Some(address) = idle {
            return Ok(address);
        }
        self.with_room(|| self.api.alloc(size))
    }

    /// Makes a call a second time, without the idle blocks, where it found no memory.
    pub fn with_room<T>(&self, call: impl Fn() -> Outcome<T>) -> Outcome<T> {
        match call() {
            Err(Code::OUT_OF_MEMORY) => {
                self.trim()?;
                call()
            }
            result => result,
        }
    }

    /// Takes a block back from its last owner.
    pub fn give_back(&self, address: u64, bytes: usize) {
        let Some(size) = size(bytes) else { return };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.entry(size).or_default().push(address);
    }

    /// Notes a recording that can be launched.
    pub fn keep_executable(&self, executable: Handle) {
        self.executables.lock().unwrap_or_else(PoisonError::into_inner).insert(executable);
    }

    /// Gives a recording back to the driver, if that has not been done with all of them.
    pub fn give_executable_back(&self, executable: Handle) -> Outcome<()> {
        // Held until it is done: whoever finds no recording left may unload its modules.
        let mut kept = self.executables.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.remove(&executable) {
            true => self.enter().and_then(|()| self.api.destroy_executable(executable)),
            false => Ok(()),
        }
    }

    /// Gives all recordings back. The context is current.
    pub fn give_executables_back(&self) -> Outcome<()> {
        let mut kept = self.executables.lock().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut *kept);
        all.into_iter().try_for_each(|executable| self.api.destroy_executable(executable))
    }

    /// Gives the idle blocks back to the driver, after everything that may still use them.
    fn trim(&self) -> Outcome<()> {
        self.api.synchronize(self.compute)?;
        self.api.synchronize(self.copies)?;
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        idle.into_values().flatten().try_for_each(|address| self.api.free(address))
    }
}

impl<A: Api> Drop for Context<A> {
    fn drop(&mut self) {
        // After a fault each of these fails; the process's end does the same then.
        if self.enter().is_ok() {
            let _ = self.trim();
            let _ = self.api.destroy_stream(self.compute);
            let _ = self.api.destroy_stream(self.copies);
        }
        let _ = self.api.release_context(self.gpu.ordinal);
    }
}

/// Bytes of the block for a request: nothing is an address too, so that every block has one of
/// its own.
fn size(bytes: usize) -> Option<usize> {
    bytes.max(1).checked_next_multiple_of(UNIT)
}
