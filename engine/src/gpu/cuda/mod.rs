//! An NVIDIA GPU as a driver.
//!
//! Nothing of CUDA is needed to build, and nothing to run on another device: the driver's
//! library is looked for when a GPU is asked for. Kernels run in one stream in the order of the
//! calls; copies from and to the host run in a second, which waits for the first and is waited
//! for by it. PTX is compiled by the driver when a kernel of its module is first launched, and
//! the result is kept on disk.
//!
//! A recording is a capture of the first stream, made into a graph that is launched into that
//! stream like a kernel: the second stream waits for it, and it for the second, as for a kernel.
//! Inside a capture there are launches, copies inside the device and zeroing alone. Where launches
//! are waited for one by one, and on drivers that capture nothing, nothing is recorded.

mod api;
mod cache;
mod code;
mod context;
mod cublas;
mod error;
mod functions;
mod launches;
mod libraries;
mod library;
mod modules;
mod options;
mod products;
mod recorded;
mod staging;
mod survey;
#[cfg(test)]
mod tests;
mod timing;
mod transfers;

use std::sync::Arc;

use ltm_ptx::{EntryPoint, Launch};

use super::{Driver, Gemm, Gpu, Product, ProductChoices, Recording, Release};
use crate::{Clock, Error, HostBlock, Mark, MemoryInfo, Result, Transfer};
use api::{Api, Kernel};
use cache::Cache;
use context::Context;
use launches::Launches;
use modules::Modules;
use products::Vendor;
use recorded::Recorded;
use staging::Staging;
use timing::Timer;
use transfers::Moved;

pub use code::Code;
pub use cublas::version as cublas_version;
pub use error::{CudaError, CudaVersion};
pub use libraries::{FoundLibrary, NVTX, libraries};
pub use library::Library;
pub use options::CudaOptions;
pub use survey::{GpuInfo, Survey, needed};

/// A driver on an NVIDIA GPU.
pub struct Cuda<A: Api = Library> {
    // In this order they are dropped: what uses the context before the context.
    staging: Staging<A>,
    /// cuBLASLt, where it is there and wanted.
    vendor: Option<Vendor>,
    /// The driver, of which what was measured depends.
    driver: String,
    modules: Modules,
    launches: Launches,
    /// The launches of the recording that has begun.
    recording: Option<Launches>,
    options: CudaOptions,
    words: Vec<u64>,
    context: Arc<Context<A>>,
}

/// The driver and the GPUs of this machine; takes none of them into use.
///
/// # Errors
/// [`CudaError`], where there is none that can run the kernels.
pub fn survey() -> std::result::Result<Survey, CudaError> {
    Survey::of(&Library::load()?)
}

impl Gpu<Cuda> {
    /// The first GPU of this machine that can run the kernels, with the options of the
    /// environment.
    ///
    /// # Errors
    /// [`Error::Cuda`], where there is none.
    pub fn cuda() -> Result<Self> {
        let driver =
            Cuda::on(Library::load().map_err(Error::Cuda)?, CudaOptions::from_environment())?;
        Ok(Self::new(driver))
    }
}

impl<A: Api> Cuda<A> {
    /// The first GPU of a driver that can run the kernels.
    fn on(api: A, options: CudaOptions) -> Result<Self> {
        let survey = Survey::of(&api).map_err(Error::Cuda)?;
        let Some(gpu) = survey.chosen().cloned() else {
            return Err(Error::Cuda(CudaError::OldDevice { found: String::new() }));
        };
        let driver = format!("{} {}", survey.cuda, survey.release.as_deref().unwrap_or_default());
        let cache = Cache::new(options.cache.clone(), gpu.architecture(), driver.clone());
        let context = Arc::new(Context::new(api, gpu).map_err(Error::Cuda)?);
        Ok(Self {
            staging: Staging::new(context.clone()),
            vendor: None,
            driver,
            modules: Modules::new(cache, &survey),
            launches: Launches::default(),
            recording: None,
            options,
            words: Vec::new(),
            context,
        })
    }

    /// Loads every kernel of a module, so that none has to be when it is launched.
    ///
    /// # Errors
    /// [`CudaError::Rejected`], and [`Error::Kernel`] of a kernel that the module lacks.
    pub fn load(&mut self, module: &str) -> Result<()> {
        self.context.enter().map_err(|code| self.launches.failed("entering the context", code))?;
        let entries = ltm_ptx::entry_points().filter(|entry| entry.module == module);
        for entry in entries {
            self.modules.function(&self.context.api, entry)?;
        }
        Ok(())
    }

    /// The GPU.
    pub fn info(&self) -> &GpuInfo {
        &self.context.gpu
    }

    /// The end of a transfer of this device.
    fn moved<'a>(&self, op: &'static str, transfer: &'a Transfer) -> Result<&'a Moved<A>> {
        let moved = transfer.moved::<Moved<A>>().filter(|moved| moved.is_of(&self.context));
        moved.ok_or(Error::Foreign { op })
    }

    /// Puts a launch into the compute stream.
    fn enqueue(&mut self, launch: &Launch) -> Result<()> {
        let Launch { entry, grid, block, shared_bytes, ref args } = *launch;
        let Context { api, gpu, compute, .. } = &*self.context;
        let refused = |report: String| Error::Kernel { kernel: entry.name, report };
        // Loading one takes memory, which would break the capture.
        if self.recording.is_some() && !self.modules.has(entry) {
            return Err(Error::Recording { op: "the first launch of a kernel" });
        }
        let function = self.modules.function(api, entry)?;
        if shared_bytes > function.dynamic_shared {
            match api.set_dynamic_shared(function.handle, shared_bytes) {
                Ok(()) => function.dynamic_shared = shared_bytes,
                Err(code) if code.is_fault() => {
                    return Err(self.launches.failed("preparing a launch", code));
                }
                Err(code) => {
                    let (name, most) = (&gpu.name, gpu.shared_memory);
                    return Err(refused(format!(
                        "needs {shared_bytes} bytes of shared memory a block; {name} has {most}: \
                         {code}"
                    )));
                }
            }
        }
        self.words.clear();
        self.words.extend(args.iter().map(|arg| arg.bits()));
        let kernel =
            Kernel { function: function.handle, grid, block, shared_bytes, args: &self.words };
        // SAFETY: arguments are formed beside the table of entry points; the virtual GPU, on which
        // every launch is tested, compares their number and sizes with the parameters. Callers
        // have checked the extents behind addresses.
        let launched = unsafe { api.launch(&kernel, *compute) };
        launched.map_err(|code| match code.is_fault() {
            true => self.launches.failed("launching a kernel", code),
            false => refused(format!(
                "cannot be launched with {grid:?} blocks of {block:?} threads and {shared_bytes} \
                 bytes of shared memory: {code}"
            )),
        })?;
        self.recording.as_mut().unwrap_or(&mut self.launches).push(entry);
        Ok(())
    }
}

/// Bytes that are left to the driver, for the code of the kernels and for rounding blocks up to
/// its pages; of a small device, a part.
fn kept_free(total: u64) -> u64 {
    (128 << 20).min(total / 64)
}

impl<A: Api> Driver for Cuda<A> {
    fn name(&self) -> String {
        let GpuInfo { name, .. } = &self.context.gpu;
        format!("cuda ({name}, {})", self.context.gpu.architecture())
    }

    fn memory(&self) -> Option<MemoryInfo> {
        let Context { api, gpu, .. } = &*self.context;
        self.context.enter().ok()?;
        let free = api.free_memory().ok()?;
        Some(MemoryInfo { total: gpu.memory, free: free.saturating_sub(kept_free(gpu.memory)) })
    }

    fn prepare(&mut self, entry: &'static EntryPoint) -> Result<()> {
        self.context.enter().map_err(|code| self.launches.failed("entering the context", code))?;
        self.modules.function(&self.context.api, entry).map(|_| ())
    }

    fn alloc(&mut self, bytes: usize) -> Result<(u64, Release)> {
        let context = self.context.clone();
        let address = match context.alloc(bytes) {
            Err(Code::OUT_OF_MEMORY) => {
                let total = context.gpu.memory;
                let device = match context.api.free_memory() {
                    Ok(free) => {
                        format!("{}, which has {} free of {}", self.name(), size(free), size(total))
                    }
                    Err(_) => format!("{}, which has {}", self.name(), size(total)),
                };
                return Err(Error::OutOfMemory { bytes, device });
            }
            result => result.map_err(|code| self.launches.failed("allocating memory", code))?,
        };
        let release = move |address: usize, bytes: usize| context.give_back(address as u64, bytes);
        Ok((address, Box::new(release)))
    }

    fn upload(&mut self, to: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let copied = self.context.enter().and_then(|()| self.staging.upload(to, bytes));
        copied.map_err(|code| self.launches.failed("copying to the GPU", code))
    }

    fn download(&mut self, from: u64, bytes: &mut [u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let copied = self.context.enter().and_then(|()| self.staging.download(from, bytes));
        copied.map_err(|code| self.launches.failed("copying from the GPU", code))?;
        self.launches.clear();
        Ok(())
    }

    fn copy(&mut self, from: u64, to: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let Context { api, compute, .. } = &*self.context;
        let copied = self.context.enter().and_then(|()| api.copy(from, to, bytes, *compute));
        copied.map_err(|code| self.launches.failed("copying inside the GPU", code))
    }

    fn zero(&mut self, at: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let Context { api, compute, .. } = &*self.context;
        let zeroed = self.context.enter().and_then(|()| api.zero(at, bytes, *compute));
        zeroed.map_err(|code| self.launches.failed("zeroing memory", code))
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        self.context.enter().map_err(|code| self.launches.failed("launching a kernel", code))?;
        self.enqueue(launch)?;
        if self.options.synchronize { self.synchronize() } else { Ok(()) }
    }

    fn synchronize(&mut self) -> Result<()> {
        let Context { api, compute, copies, .. } = &*self.context;
        let over = self
            .context
            .enter()
            .and_then(|()| api.synchronize(*copies))
            .and_then(|()| api.synchronize(*compute));
        over.map_err(|code| self.launches.failed("waiting for the GPU", code))?;
        self.launches.clear();
        Ok(())
    }

    fn mark(&mut self) -> Result<Mark> {
        self.context.enter().map_err(|code| self.launches.failed("recording an event", code))?;
        Ok(Mark::on_device(Box::new(self.timer()?)))
    }

    fn seconds_between(&mut self, from: &Mark, to: &Mark) -> Result<f64> {
        let timers = [from, to].map(|mark| {
            let timer = mark.kept::<Timer<A>>().filter(|timer| timer.is_of(&self.context));
            timer.ok_or(Error::Foreign { op: "seconds_between" })
        });
        let [from, to] = timers;
        let (from, to) = (from?, to?);
        let seconds = self.context.enter().and_then(|()| from.seconds_to(to));
        seconds.map_err(|code| self.launches.failed("waiting for the GPU", code))
    }

    fn clock(&self) -> Clock {
        Clock::Device
    }

    fn host_block(&mut self, bytes: usize) -> Result<HostBlock> {
        let made = self.context.enter().and_then(|()| transfers::block(&self.context, bytes));
        made.map_err(|code| self.launches.failed("locking memory of the host", code))
    }

    fn post(&mut self, block: HostBlock, to: u64, bytes: usize) -> Result<Transfer> {
        let entered = self.context.enter();
        let begun = entered.and_then(|()| transfers::post(&self.context, block, (to, bytes)));
        begun.map_err(|code| self.launches.failed("copying to the GPU", code))
    }

    fn arrive(&mut self, transfer: &Transfer) -> Result<()> {
        let moved = self.moved("arrive", transfer)?;
        let held = self.context.enter().and_then(|()| moved.hold_compute());
        held.map_err(|code| self.launches.failed("waiting for a copy", code))
    }

    fn fetch(&mut self, from: u64, block: HostBlock, bytes: usize) -> Result<Transfer> {
        let entered = self.context.enter();
        let begun = entered.and_then(|()| transfers::fetch(&self.context, block, (from, bytes)));
        begun.map_err(|code| self.launches.failed("copying from the GPU", code))
    }

    fn recover(&mut self, transfer: Transfer) -> Result<HostBlock> {
        let moved = self.moved("recover", &transfer)?;
        let over = self.context.enter().and_then(|()| moved.wait());
        over.map_err(|code| self.launches.failed("waiting for a copy", code))?;
        Ok(transfer.into_block())
    }

    fn choose_products(&mut self, gemm: Gemm, kept: &ProductChoices) -> Result<()> {
        self.choose(gemm, kept)
    }

    fn product_choices(&self) -> ProductChoices {
        self.chosen()
    }

    fn prepare_product(&mut self, product: &Product, own: &[Launch]) -> Result<()> {
        self.prepare_given(product, own)
    }

    fn gives_away(&self, product: &Product) -> bool {
        self.vendor.as_ref().is_some_and(|vendor| vendor.wants(product))
    }

    fn product(&mut self, product: &Product) -> Result<bool> {
        self.give_away(product)
    }

    fn begin_recording(&mut self) -> Result<bool> {
        if self.options.synchronize {
            return Ok(false);
        }
        let Context { api, compute, .. } = &*self.context;
        match self.context.enter().and_then(|()| api.begin_capture(*compute)) {
            Err(Code::NOT_SUPPORTED) => return Ok(false),
            begun => begun.map_err(|code| self.launches.failed("beginning a recording", code))?,
        }
        self.recording = Some(Launches::default());
        Ok(true)
    }

    fn end_recording(&mut self) -> Result<Recording> {
        let Some(launches) = self.recording.take() else {
            return Err(Error::Recording { op: "end_recording" });
        };
        let Context { api, compute, .. } = &*self.context;
        let graph = self.context.enter().and_then(|()| api.end_capture(*compute));
        let graph = graph.map_err(|code| self.launches.failed("ending a recording", code))?;
        let recorded = Recorded::new(self.context.clone(), graph, launches);
        let failed = |code| self.launches.failed("making a graph of a recording", code);
        Ok(Box::new(recorded.map_err(failed)?))
    }

    fn replay(&mut self, recording: &Recording) -> Result<()> {
        let recorded = recording.downcast_ref::<Recorded<A>>();
        let Some(recorded) = recorded.filter(|recorded| recorded.is_of(&self.context)) else {
            return Err(Error::Foreign { op: "replay" });
        };
        let queued = self.context.enter().and_then(|()| recorded.launch());
        queued.map_err(|code| self.launches.failed("repeating a recording", code))?;
        self.launches.extend(recorded.launches());
        Ok(())
    }
}

impl<A: Api> Drop for Cuda<A> {
    fn drop(&mut self) {
        // A stream that is captured cannot be waited for.
        drop(self.recording.is_some().then(|| self.end_recording()));
        // After a fault nothing can be unloaded; the process's end does it.
        if self.synchronize().is_ok() {
            let _ = self.context.give_executables_back();
            self.vendor = None;
            let _ = self.modules.unload(&self.context.api);
        }
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}
