//! The calls of NVIDIA's driver that the backend makes, as a trait: the library itself, or in
//! tests something that fails where it is told to.

use std::ffi::CStr;

use super::Code;

/// What a call returns.
pub type Outcome<T> = Result<T, Code>;

/// Something that the driver made: a context, stream, event, module, function or graph.
pub type Handle = usize;

/// A property of a GPU, by the number that the driver gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Attribute {
    /// Streaming multiprocessors.
    Multiprocessors = 16,
    /// Compute capability before the point.
    CapabilityMajor = 75,
    /// Compute capability after the point.
    CapabilityMinor = 76,
    /// Shared memory that a block can get when its kernel asks for it, bytes.
    SharedMemory = 97,
}

/// A module that the driver did not take, with what its compiler says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Result of the call.
    pub code: Code,
    /// The compiler's log; may be empty.
    pub log: String,
}

/// A kernel launch.
pub struct Kernel<'a> {
    /// What runs.
    pub function: Handle,
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// Dynamic shared memory of a block, bytes.
    pub shared_bytes: u32,
    /// One word per parameter, which holds its bytes in the low ones.
    pub args: &'a [u64],
}

/// The driver. Calls other than the first group act on the context that is current on the
/// calling thread, which [`Api::enter`] sets.
pub trait Api: GraphApi + Send + Sync + 'static {
    /// Starts the driver; once is enough, more does not hurt.
    fn init(&self) -> Outcome<()>;
    /// The driver's own version, where it can be found.
    fn release(&self) -> Option<String>;
    /// The CUDA version that it supports, 1000 major + 10 minor.
    fn driver_version(&self) -> Outcome<u32>;
    /// GPUs that this process may use.
    fn device_count(&self) -> Outcome<u32>;
    /// Name of a GPU.
    fn device_name(&self, device: u32) -> Outcome<String>;
    /// Its memory in bytes.
    fn device_memory(&self, device: u32) -> Outcome<u64>;
    /// A property of it.
    fn attribute(&self, device: u32, attribute: Attribute) -> Outcome<u32>;
    /// Its primary context, made when nobody has it yet.
    fn retain_context(&self, device: u32) -> Outcome<Handle>;
    /// Gives the primary context back.
    fn release_context(&self, device: u32) -> Outcome<()>;
    /// Makes a context current on the calling thread.
    fn enter(&self, context: Handle) -> Outcome<()>;

    /// Free bytes of the GPU's memory.
    fn free_memory(&self) -> Outcome<u64>;
    /// A block of device memory.
    fn alloc(&self, bytes: usize) -> Outcome<u64>;
    /// Gives a block back.
    fn free(&self, address: u64) -> Outcome<()>;
    /// A block of page-locked host memory.
    fn alloc_pinned(&self, bytes: usize) -> Outcome<*mut u8>;
    /// Gives it back.
    ///
    /// # Safety
    /// `block` comes from [`Api::alloc_pinned`], is given back once, and no copy still uses it.
    unsafe fn free_pinned(&self, block: *mut u8) -> Outcome<()>;

    /// A stream that does not wait for the default stream.
    fn create_stream(&self) -> Outcome<Handle>;
    /// Gives a stream back.
    fn destroy_stream(&self, stream: Handle) -> Outcome<()>;
    /// Waits on the host for everything in a stream.
    fn synchronize(&self, stream: Handle) -> Outcome<()>;
    /// An event without times.
    fn create_event(&self) -> Outcome<Handle>;
    /// An event that knows when it was reached.
    fn create_timer(&self) -> Outcome<Handle>;
    /// Milliseconds from one event to a later one, both with times and both reached.
    fn milliseconds(&self, from: Handle, to: Handle) -> Outcome<f32>;
    /// Gives an event back.
    fn destroy_event(&self, event: Handle) -> Outcome<()>;
    /// Puts an event at the end of a stream.
    fn record(&self, event: Handle, stream: Handle) -> Outcome<()>;
    /// Lets what is put into a stream from now on wait for an event.
    fn wait(&self, stream: Handle, event: Handle) -> Outcome<()>;
    /// Waits on the host for an event; at once when it was never recorded.
    fn wait_on_host(&self, event: Handle) -> Outcome<()>;

    /// Puts a copy to device memory into a stream.
    ///
    /// # Safety
    /// `from` is page-locked, `bytes` long, and not written before the copy is over.
    unsafe fn to_device(&self, from: *const u8, to: u64, bytes: usize, s: Handle) -> Outcome<()>;
    /// Puts a copy from device memory into a stream.
    ///
    /// # Safety
    /// `to` is page-locked, `bytes` long, and not touched before the copy is over.
    unsafe fn to_host(&self, from: u64, to: *mut u8, bytes: usize, s: Handle) -> Outcome<()>;
    /// Puts a copy inside device memory into a stream.
    fn copy(&self, from: u64, to: u64, bytes: usize, stream: Handle) -> Outcome<()>;
    /// Puts the zeroing of device memory into a stream.
    fn zero(&self, at: u64, bytes: usize, stream: Handle) -> Outcome<()>;

    /// Compiles PTX for the GPU of the current context: the machine code.
    fn compile(&self, ptx: &CStr) -> Result<Vec<u8>, Rejection>;
    /// Loads machine code.
    fn load(&self, image: &[u8]) -> Outcome<Handle>;
    /// Gives a module back.
    fn unload(&self, module: Handle) -> Outcome<()>;
    /// A kernel of a module.
    fn function(&self, module: Handle, name: &CStr) -> Outcome<Handle>;
    /// Dynamic shared memory that launches of a kernel may ask for, bytes.
    fn dynamic_shared(&self, function: Handle) -> Outcome<u32>;
    /// Sets that.
    fn set_dynamic_shared(&self, function: Handle, bytes: u32) -> Outcome<()>;
    /// Puts a launch into a stream.
    ///
    /// # Safety
    /// The arguments are those of the kernel's parameters, in number and sizes, and addresses
    /// among them are of memory of this context as large as the kernel takes them to be.
    unsafe fn launch(&self, kernel: &Kernel<'_>, stream: Handle) -> Outcome<()>;
}

/// The part of the driver that repeats work. A stream that is captured runs nothing: what is put
/// into it becomes a graph. Neither it nor what is in it can be waited for meanwhile, and the
/// thread that captures neither takes nor gives back memory or modules.
pub trait GraphApi {
    /// From here on what is put into a stream is captured. [`Code::NOT_SUPPORTED`] from a driver
    /// that cannot.
    fn begin_capture(&self, stream: Handle) -> Outcome<()>;
    /// The graph of what was captured since; by the thread that began. The stream runs again,
    /// whatever is returned.
    fn end_capture(&self, stream: Handle) -> Outcome<Handle>;
    /// A graph that can be launched, which no longer needs the one it is made of.
    fn instantiate(&self, graph: Handle) -> Outcome<Handle>;
    /// Gives back what [`GraphApi::end_capture`] made.
    fn destroy_graph(&self, graph: Handle) -> Outcome<()>;
    /// Puts an instantiated graph into a stream.
    ///
    /// # Safety
    /// The modules of its kernels are loaded, and the memory that they have addresses of belongs
    /// to this context.
    unsafe fn launch_graph(&self, executable: Handle, stream: Handle) -> Outcome<()>;
    /// Gives back what [`GraphApi::instantiate`] made; if it is running, when that is over.
    fn destroy_executable(&self, executable: Handle) -> Outcome<()>;
}
