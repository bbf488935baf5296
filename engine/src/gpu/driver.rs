//! What a GPU must offer to run kernels.

use std::any::Any;

use ltm_ptx::{EntryPoint, Launch};

use super::{Gemm, Product, ProductChoices};
use crate::{Clock, Error, HostBlock, Mark, MemoryInfo, MemoryUse, Result, Transfer};

/// Gives a block of device memory back: called once, with its address and its bytes, on any
/// thread.
pub type Release = Box<dyn FnOnce(usize, usize) + Send + Sync>;

/// What a driver has recorded; only the driver itself knows what is in it.
pub type Recording = Box<dyn Any + Send + Sync>;

/// A GPU as its driver shows it: memory by address, and launches that run in the order of the
/// calls. Callers have checked extents and owners: an address and a length always lie within
/// one block.
pub trait Driver: 'static {
    /// For people: which processor.
    fn name(&self) -> String;

    /// A block of at least `bytes` (0 is legal), aligned to 256 bytes, with undefined contents:
    /// its address, and how it is given back.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    fn alloc(&mut self, bytes: usize) -> Result<(u64, Release)>;

    /// As [`Driver::alloc`], but every byte is zero.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    fn alloc_zeroed(&mut self, bytes: usize) -> Result<(u64, Release)> {
        let (address, release) = self.alloc(bytes)?;
        self.zero(address, bytes)?;
        Ok((address, release))
    }

    /// The size of the device, and what of it is free for [`Driver::alloc`]; `None` if nothing
    /// limits it. Training that needs more is refused before it begins.
    fn memory(&self) -> Option<MemoryInfo>;

    /// What is allocated; `None` if the driver does not count.
    fn usage(&self) -> Option<MemoryUse> {
        None
    }

    /// Makes a kernel ready, so that its first launch has nothing left to load.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if it cannot be loaded.
    fn prepare(&mut self, entry: &'static EntryPoint) -> Result<()> {
        let _ = entry;
        Ok(())
    }

    /// Copies `bytes` of the host to device memory at `to`.
    fn upload(&mut self, to: u64, bytes: &[u8]) -> Result<()>;

    /// Copies device memory at `from` to the host, after every launch before.
    fn download(&mut self, from: u64, bytes: &mut [u8]) -> Result<()>;

    /// Copies `bytes` bytes at `from` to `to`; the ranges do not overlap.
    fn copy(&mut self, from: u64, to: u64, bytes: usize) -> Result<()>;

    /// Sets `bytes` bytes at `at` to zero.
    fn zero(&mut self, at: u64, bytes: usize) -> Result<()>;

    /// Runs a kernel.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if it cannot be launched or, where the driver sees that at
    /// once, goes wrong.
    fn launch(&mut self, launch: &Launch) -> Result<()>;

    /// Waits until everything before has finished, and reports what went wrong in it.
    fn synchronize(&mut self) -> Result<()>;

    /// The end of everything before, to measure from or to. On CUDA an event with a time in the
    /// compute stream.
    fn mark(&mut self) -> Result<Mark> {
        self.synchronize()?;
        Ok(Mark::on_host())
    }

    /// Seconds between two marks of this driver, the later of which is waited for.
    fn seconds_between(&mut self, from: &Mark, to: &Mark) -> Result<f64> {
        Mark::host_seconds(from, to)
    }

    /// Whose clock its marks are on.
    fn clock(&self) -> Clock {
        Clock::Host
    }

    /// Memory of the host for the next two, zeroed.
    fn host_block(&mut self, bytes: usize) -> Result<HostBlock> {
        Ok(HostBlock::plain(bytes))
    }

    /// Copies the first `bytes` of a block to device memory at `to`, after everything before and
    /// beside what comes later. On CUDA in a stream of its own.
    fn post(&mut self, block: HostBlock, to: u64, bytes: usize) -> Result<Transfer> {
        self.upload(to, &block[..bytes])?;
        Ok(Transfer::over(block))
    }

    /// Lets everything from here on come after a transfer of this driver.
    fn arrive(&mut self, transfer: &Transfer) -> Result<()> {
        let _ = transfer;
        Ok(())
    }

    /// Copies device memory at `from` to the first `bytes` of a block, after everything before.
    fn fetch(&mut self, from: u64, mut block: HostBlock, bytes: usize) -> Result<Transfer> {
        self.download(from, &mut block[..bytes])?;
        Ok(Transfer::over(block))
    }

    /// Waits for a transfer of this driver, and gives its block back.
    fn recover(&mut self, transfer: Transfer) -> Result<HostBlock> {
        Ok(transfer.into_block())
    }

    /// Decides who computes matrix products from here on, where there is a choice.
    ///
    /// # Errors
    /// [`crate::Error::Cuda`] or [`crate::Error::Unavailable`] if a library is asked for that is
    /// not there.
    fn choose_products(&mut self, gemm: Gemm, kept: &ProductChoices) -> Result<()> {
        let _ = kept;
        gemm.without_library(|| self.name())
    }

    /// What was chosen so far.
    fn product_choices(&self) -> ProductChoices {
        ProductChoices::default()
    }

    /// Makes a product ready: plans it, and finds out who computes it where that is open, for which
    /// it runs both on memory whose contents are of no use. `own` are the launches of our kernels.
    fn prepare_product(&mut self, product: &Product, own: &[Launch]) -> Result<()> {
        let _ = (product, own);
        Ok(())
    }

    /// Whether a library of the vendor is to compute a product like this.
    fn gives_away(&self, product: &Product) -> bool {
        let _ = product;
        false
    }

    /// Computes a product by a library of the vendor, if that is chosen; false if not, and nothing
    /// was done.
    fn product(&mut self, product: &Product) -> Result<bool> {
        let _ = product;
        Ok(false)
    }

    /// From here to [`Driver::end_recording`], `launch`, `copy` and `zero` are written down and
    /// not run; nothing else is called in between. False from a driver that cannot record: then
    /// nothing changes, and `end_recording` is not called.
    ///
    /// On CUDA this is `cuStreamBeginCapture` on the compute stream. Every kernel in the recording
    /// has been launched directly before, so its module is loaded.
    fn begin_recording(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// What was written down since [`Driver::begin_recording`], ready to be repeated; addresses
    /// are as they were. The recording is over, whatever is returned. On CUDA `cuStreamEndCapture`
    /// and `cuGraphInstantiateWithFlags`.
    fn end_recording(&mut self) -> Result<Recording> {
        Err(Error::Recording { op: "end_recording" })
    }

    /// Queues a recording of this driver once more, after everything before. On CUDA
    /// `cuGraphLaunch`.
    fn replay(&mut self, recording: &Recording) -> Result<()> {
        let _ = recording;
        Err(Error::Recording { op: "replay" })
    }
}
