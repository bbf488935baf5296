//! What a device offers besides operations: memory and copies.

use std::ops::Range;
use std::str::FromStr;

use crate::cpu::Cpu;
use crate::gpu::{Gemm, Gpu, ProductChoices, Vm, cuda};
use crate::ops::Ops;
use crate::{
    Buffer, Clock, DType, DeviceId, Element, Error, Graph, HostBlock, Kept, Mark, MemoryInfo,
    MemoryUse, Processor, Result, Transfer, bf16,
};

/// A processor with memory of its own that runs the operations.
pub trait Device: Ops {
    /// Identity, carried by every buffer.
    fn id(&self) -> DeviceId;

    /// For people: which processor, how many threads.
    fn name(&self) -> String;

    /// A zeroed buffer of `len` elements.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    fn alloc(&mut self, dtype: DType, len: usize) -> Result<Buffer>;

    /// Whether operations take activations and weights that are stored in `storage`.
    fn stores(&self, storage: DType) -> bool;

    /// Copies `bytes` of the host to the whole of `to`; lengths must agree.
    fn upload_bytes(&mut self, to: &Buffer, bytes: &[u8]) -> Result<()>;

    /// Copies the whole of `from` to the host; lengths must agree.
    fn download_bytes(&mut self, from: &Buffer, bytes: &mut [u8]) -> Result<()>;

    /// Copies `from` to `to`; lengths and types must agree, ranges must not overlap.
    fn copy(&mut self, from: &Buffer, to: &Buffer) -> Result<()>;

    /// Sets every byte to zero.
    fn zero(&mut self, buffer: &Buffer) -> Result<()>;

    /// Waits until every operation before has finished.
    ///
    /// # Errors
    /// What went wrong in them, among others an index that was out of range.
    fn synchronize(&mut self) -> Result<()>;

    /// From here to [`Device::end_recording`], operations, copies and zeroings are written down
    /// and not run. False on a device that does not record: nothing has changed.
    ///
    /// Until then [`Device::alloc`], uploads, downloads and [`Device::synchronize`] are refused, as
    /// is an operation that would allocate for itself. An operation that has run once on arguments
    /// of the same extents allocates nothing.
    ///
    /// # Errors
    /// [`Error::Recording`] if one has begun already.
    fn begin_recording(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// What was written down since [`Device::begin_recording`]. The recording is over, whatever
    /// is returned.
    ///
    /// # Errors
    /// [`Error::Recording`] if none has begun.
    fn end_recording(&mut self) -> Result<Graph> {
        Err(Error::Recording { op: "end_recording" })
    }

    /// Runs what was recorded once more, on the memory that it was recorded with: the buffers of
    /// its operations must still be there, and whatever they hold is what it works on.
    ///
    /// # Errors
    /// [`Error::Foreign`] for a graph of another device; else as its operations.
    fn replay(&mut self, graph: &Graph) -> Result<()> {
        let _ = graph;
        Err(Error::Foreign { op: "replay" })
    }

    /// The end of everything that has been asked for so far, to measure from or to. On a device
    /// whose clock is [`Clock::Host`] this waits for it.
    ///
    /// # Errors
    /// If the device fails.
    fn mark(&mut self) -> Result<Mark> {
        self.synchronize()?;
        Ok(Mark::on_host())
    }

    /// Seconds between two marks of this device. Waits for the later one, `to`.
    ///
    /// # Errors
    /// [`Error::Foreign`] for marks of another device; else if the device fails.
    fn seconds_between(&mut self, from: &Mark, to: &Mark) -> Result<f64> {
        Mark::host_seconds(from, to)
    }

    /// Whose clock its marks are on.
    fn clock(&self) -> Clock {
        Clock::Host
    }

    /// Memory of the host for [`Device::post`] and [`Device::fetch`], zeroed.
    ///
    /// # Errors
    /// If the host has none left that can be locked.
    fn host_block(&mut self, bytes: usize) -> Result<HostBlock> {
        Ok(HostBlock::plain(bytes))
    }

    /// Copies the start of a block to the whole of `to`, after everything that was asked for before
    /// and beside what is asked for later, which [`Device::arrive`] makes wait for it.
    ///
    /// # Errors
    /// [`Error::Extent`] if the block is shorter; else if the device fails.
    fn post(&mut self, block: HostBlock, to: &Buffer) -> Result<Transfer> {
        let part = held("post", &block, to)?;
        self.upload_bytes(to, &block[part])?;
        Ok(Transfer::over(block))
    }

    /// Lets everything that is asked for from here on come after a transfer.
    ///
    /// # Errors
    /// [`Error::Foreign`] for a transfer of another device; else if the device fails.
    fn arrive(&mut self, transfer: &Transfer) -> Result<()> {
        let _ = transfer;
        Ok(())
    }

    /// Copies the whole of `from` to the start of a block, after everything that was asked for
    /// before. What a device notices late, as an index that is out of range, is not looked for.
    ///
    /// # Errors
    /// [`Error::Extent`] if the block is shorter; else if the device fails.
    fn fetch(&mut self, from: &Buffer, mut block: HostBlock) -> Result<Transfer> {
        let part = held("fetch", &block, from)?;
        self.download_bytes(from, &mut block[part])?;
        Ok(Transfer::over(block))
    }

    /// Waits for a transfer, and gives its block back.
    ///
    /// # Errors
    /// [`Error::Foreign`] for a transfer of another device; else what went wrong before it.
    fn recover(&mut self, transfer: Transfer) -> Result<HostBlock> {
        Ok(transfer.into_block())
    }

    /// Decides who computes matrix products from here on: `kept` are choices of an earlier process,
    /// which stay as they are. Only a GPU has a choice. What was recorded before must not be
    /// replayed.
    ///
    /// # Errors
    /// [`Error::Cuda`] or [`Error::Unavailable`] if a library is asked for that is not there;
    /// [`Error::OutOfMemory`].
    fn choose_products(&mut self, gemm: Gemm, kept: &ProductChoices) -> Result<()> {
        let _ = kept;
        gemm.without_library(|| self.name())
    }

    /// What was chosen so far.
    fn product_choices(&self) -> ProductChoices {
        ProductChoices::default()
    }

    /// How it takes memory.
    fn processor(&self) -> Processor;

    /// Its memory; `None` where nothing limits it or nobody can tell.
    fn memory(&self) -> Option<MemoryInfo> {
        None
    }

    /// What is allocated on it; `None` if it does not count.
    fn usage(&self) -> Option<MemoryUse> {
        None
    }

    /// Between `rehearse(true)` and `rehearse(false)`, operations check their arguments, take the
    /// memory that they keep, and load their kernels, but compute nothing; copies and zeroings
    /// between buffers are left out too. What was rehearsed allocates nothing when it runs. False
    /// on a device that does not rehearse: there, nothing has changed, and operations would run.
    fn rehearse(&mut self, on: bool) -> bool {
        let _ = on;
        false
    }

    /// What it keeps for its operations at present.
    fn kept(&self) -> Kept {
        Kept::default()
    }

    /// Takes scratch memory of these sizes, by block, so that none has to grow to them.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    fn reserve(&mut self, scratch: &[usize]) -> Result<()> {
        let _ = scratch;
        Ok(())
    }
}

/// The bytes of a block that a copy from or to `buffer` takes.
pub(crate) fn held(op: &'static str, block: &HostBlock, buffer: &Buffer) -> Result<Range<usize>> {
    let (found, expected) = (block.len(), buffer.byte_len());
    if found < expected {
        return Err(Error::Extent { op, what: "block (bytes)", found, expected });
    }
    Ok(0..expected)
}

/// Typed copies for every device.
pub trait DeviceExt: Device {
    /// Copies `values` to the whole of `to`.
    fn upload<T: Element>(&mut self, to: &Buffer, values: &[T]) -> Result<()> {
        expect_type::<T>("upload", to)?;
        self.upload_bytes(to, bytemuck::cast_slice(values))
    }

    /// Copies the whole of `from` to `values`.
    fn download<T: Element>(&mut self, from: &Buffer, values: &mut [T]) -> Result<()> {
        expect_type::<T>("download", from)?;
        self.download_bytes(from, bytemuck::cast_slice_mut(values))
    }

    /// The whole of `from` as a vector.
    fn read<T: Element>(&mut self, from: &Buffer) -> Result<Vec<T>> {
        let mut values = vec![T::zeroed(); from.len()];
        self.download(from, &mut values)?;
        Ok(values)
    }

    /// The whole of an f32 or bf16 buffer as f32, which is exact.
    fn read_numbers(&mut self, from: &Buffer) -> Result<Vec<f32>> {
        match from.dtype() {
            DType::BF16 => Ok(self.read::<bf16>(from)?.iter().map(|x| x.to_f32()).collect()),
            _ => self.read::<f32>(from),
        }
    }

    /// Records what `body` calls, without running it; `None` on a device that does not record,
    /// where `body` is not called.
    ///
    /// # Errors
    /// Of `body`, and of [`Device::begin_recording`] and [`Device::end_recording`].
    fn record<E: From<Error>>(
        &mut self,
        body: impl FnOnce(&mut Self) -> std::result::Result<(), E>,
    ) -> std::result::Result<Option<Graph>, E> {
        if !self.begin_recording()? {
            return Ok(None);
        }
        let result = body(self);
        let graph = self.end_recording();
        result?;
        Ok(Some(graph?))
    }

    /// A new buffer that holds `values`.
    fn alloc_from<T: Element>(&mut self, values: &[T]) -> Result<Buffer> {
        let buffer = self.alloc(T::DTYPE, values.len())?;
        self.upload(&buffer, values)?;
        Ok(buffer)
    }
}

impl<D: Device + ?Sized> DeviceExt for D {}

fn expect_type<T: Element>(op: &'static str, buffer: &Buffer) -> Result<()> {
    if buffer.dtype() == T::DTYPE {
        return Ok(());
    }
    Err(Error::Type { op, what: "buffer", found: buffer.dtype(), expected: T::DTYPE })
}

/// Devices by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// The best device of this machine; without a usable GPU, the CPU.
    #[default]
    Auto,
    /// The reference implementation, f32.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// The virtual GPU: compiled kernels, executed and checked on the CPU.
    Vm,
}

impl FromStr for DeviceKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(DeviceKind::Auto),
            "cpu" => Ok(DeviceKind::Cpu),
            "cuda" => Ok(DeviceKind::Cuda),
            "vm" => Ok(DeviceKind::Vm),
            _ => Err(Error::Unavailable {
                device: name.into(),
                reason: "not built into this version; use auto, cpu, cuda or vm".into(),
            }),
        }
    }
}

impl DeviceKind {
    /// How this device takes memory.
    pub fn processor(self) -> Processor {
        match self {
            DeviceKind::Auto | DeviceKind::Cpu => Processor::Cpu,
            DeviceKind::Cuda | DeviceKind::Vm => Processor::Gpu,
        }
    }

    /// What this is on this machine: `Auto` becomes the GPU where one can be used, and otherwise
    /// the CPU, with the reason.
    pub fn resolve(self) -> (Self, Option<cuda::CudaError>) {
        match self {
            DeviceKind::Auto => match cuda::survey() {
                Ok(_) => (DeviceKind::Cuda, None),
                Err(reason) => (DeviceKind::Cpu, Some(reason)),
            },
            kind => (kind, None),
        }
    }
}

/// Opens a device with `threads` worker threads on the host (0: all cores).
///
/// # Errors
/// [`Error::Unavailable`] or [`Error::Cuda`] if the device cannot be used here.
pub fn open(kind: DeviceKind, threads: usize) -> Result<Box<dyn Device>> {
    open_within(kind, threads, None)
}

/// As [`open`], with at most `limit` bytes of its memory to use: the size of the virtual GPU, and
/// of any other device a part.
///
/// # Errors
/// As [`open`].
pub fn open_within(
    kind: DeviceKind,
    threads: usize,
    limit: Option<u64>,
) -> Result<Box<dyn Device>> {
    match kind.resolve().0 {
        DeviceKind::Auto | DeviceKind::Cpu => Ok(Box::new(Cpu::new(threads)?.within(limit))),
        DeviceKind::Cuda => Ok(Box::new(Gpu::cuda()?.within(limit))),
        DeviceKind::Vm => Ok(Box::new(Gpu::new(Vm::of_size(threads, limit)).within(limit))),
    }
}
