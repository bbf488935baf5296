//! A driver for tests: its GPU is the virtual one, and it fails where it is told to.
//!
//! Streams are as eager as can be, so an order that is missing between them does not show here;
//! that every wait is asked for is seen in the list of calls.

use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::{Arc, Mutex, MutexGuard};

use ltm_ptx::vm::{Config, Program, VirtualGpu};

use super::super::Code;
use super::super::api::{Api, Attribute, Handle, Kernel, Outcome, Rejection};
use super::capture::{Captures, Work};

/// What a test sets and sees.
#[derive(Default)]
pub struct Script {
    /// Results of calls from now on, by name.
    pub fails: HashMap<&'static str, Code>,
    /// Names of the calls so far.
    pub calls: Vec<&'static str>,
    /// The kernel that goes wrong while it runs, and how.
    pub faulty: Option<(&'static str, Code)>,
    /// What is returned since a faulty kernel has been noticed.
    pub fault: Option<Code>,
    /// What the compiler says when it fails.
    pub log: &'static str,
    /// CUDA version.
    pub version: u32,
    /// Names and capabilities of GPUs.
    pub gpus: Vec<(&'static str, (u32, u32))>,
    /// Bytes of device memory that may be taken.
    pub memory: usize,
    /// Blocks of device memory and their bytes.
    pub blocks: HashMap<u64, usize>,
    /// Contexts, streams, events, page-locked blocks, modules and graphs that were made and not
    /// given back.
    pub alive: Vec<Handle>,
    /// What is captured, and the graphs of it.
    pub captures: Captures,
    /// A fault that nobody has noticed yet.
    pub pending: Option<Code>,
    /// Milliseconds that have gone by: a launch takes one.
    pub clock: f32,
    /// When each event was last recorded.
    times: HashMap<Handle, f32>,
    pinned: HashMap<Handle, Box<[u8]>>,
    pub programs: HashMap<Handle, (Arc<Program>, String)>,
    pub functions: HashMap<Handle, (Handle, String, u32)>,
    next: Handle,
}

/// The driver; clones are the same one.
#[derive(Clone)]
pub struct Double {
    script: Arc<Mutex<Script>>,
    pub gpu: Arc<VirtualGpu>,
}

impl Double {
    /// One GPU and nothing that fails.
    pub fn new() -> Self {
        let script = Script {
            version: 12040,
            gpus: vec![("Test GPU", (8, 0))],
            memory: 1 << 30,
            next: 1,
            ..Script::default()
        };
        let gpu = VirtualGpu::new(Config { threads: 1, ..Config::default() });
        Self { script: Arc::new(Mutex::new(script)), gpu: Arc::new(gpu) }
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Lets every call of this name fail from now on.
    pub fn fail(&self, call: &'static str, code: Code) {
        self.script().fails.insert(call, code);
    }

    /// How often a call was made.
    pub fn count(&self, call: &str) -> usize {
        self.script().calls.iter().filter(|name| **name == call).count()
    }

    pub fn begin(&self, call: &'static str) -> Outcome<MutexGuard<'_, Script>> {
        let mut script = self.script();
        script.calls.push(call);
        if matches!(call, "synchronize" | "wait_on_host" | "free") {
            let noticed = script.pending.take();
            script.fault = script.fault.or(noticed);
        }
        let broken = script.captures.forbids(call);
        match script.fault.or(script.fails.get(call).copied()).or(broken) {
            Some(code) => Err(code),
            None => Ok(script),
        }
    }

    pub fn make(&self, call: &'static str) -> Outcome<Handle> {
        let mut script = self.begin(call)?;
        script.next += 1;
        let handle = script.next;
        script.alive.push(handle);
        Ok(handle)
    }

    pub fn give_back(&self, call: &'static str, handle: Handle) -> Outcome<()> {
        let mut script = self.begin(call)?;
        let at = script.alive.iter().position(|&alive| alive == handle).expect("given back once");
        script.alive.remove(at);
        Ok(())
    }
}

impl Api for Double {
    fn init(&self) -> Outcome<()> {
        self.begin("init").map(drop)
    }

    fn release(&self) -> Option<String> {
        Some("550.54.15".into())
    }

    fn driver_version(&self) -> Outcome<u32> {
        self.begin("driver_version").map(|script| script.version)
    }

    fn device_count(&self) -> Outcome<u32> {
        self.begin("device_count").map(|script| script.gpus.len() as u32)
    }

    fn device_name(&self, device: u32) -> Outcome<String> {
        self.begin("device_name").map(|script| script.gpus[device as usize].0.into())
    }

    fn device_memory(&self, _: u32) -> Outcome<u64> {
        self.begin("device_memory").map(|script| script.memory as u64)
    }

    fn attribute(&self, device: u32, attribute: Attribute) -> Outcome<u32> {
        let script = self.begin("attribute")?;
        let (major, minor) = script.gpus[device as usize].1;
        Ok(match attribute {
            Attribute::Multiprocessors => 1,
            Attribute::CapabilityMajor => major,
            Attribute::CapabilityMinor => minor,
            Attribute::SharedMemory => 163 << 10,
        })
    }

    fn retain_context(&self, _: u32) -> Outcome<Handle> {
        self.begin("retain_context")?.alive.push(0);
        Ok(0)
    }

    fn release_context(&self, _: u32) -> Outcome<()> {
        self.give_back("release_context", 0)
    }

    fn enter(&self, _: Handle) -> Outcome<()> {
        self.begin("enter").map(drop)
    }

    fn free_memory(&self) -> Outcome<u64> {
        let script = self.begin("free_memory")?;
        Ok((script.memory - script.blocks.values().sum::<usize>()) as u64)
    }

    fn alloc(&self, bytes: usize) -> Outcome<u64> {
        let mut script = self.begin("alloc")?;
        if script.blocks.values().sum::<usize>() + bytes > script.memory {
            return Err(Code::OUT_OF_MEMORY);
        }
        let address = self.gpu.alloc(bytes).unwrap();
        script.blocks.insert(address, bytes);
        Ok(address)
    }

    fn free(&self, address: u64) -> Outcome<()> {
        self.begin("free")?.blocks.remove(&address).expect("a block");
        self.gpu.free(address).unwrap();
        Ok(())
    }

    fn alloc_pinned(&self, bytes: usize) -> Outcome<*mut u8> {
        let mut script = self.begin("alloc_pinned")?;
        let mut block = vec![0xa5; bytes].into_boxed_slice();
        let address = block.as_mut_ptr();
        script.pinned.insert(address as Handle, block);
        script.alive.push(address as Handle);
        Ok(address)
    }

    unsafe fn free_pinned(&self, block: *mut u8) -> Outcome<()> {
        self.give_back("free_pinned", block as Handle)?;
        self.script().pinned.remove(&(block as Handle)).expect("a block");
        Ok(())
    }

    fn create_stream(&self) -> Outcome<Handle> {
        self.make("create_stream")
    }

    fn destroy_stream(&self, stream: Handle) -> Outcome<()> {
        self.give_back("destroy_stream", stream)
    }

    fn synchronize(&self, _: Handle) -> Outcome<()> {
        self.begin("synchronize").map(drop)
    }

    fn create_event(&self) -> Outcome<Handle> {
        self.make("create_event")
    }

    fn create_timer(&self) -> Outcome<Handle> {
        self.make("create_timer")
    }

    fn milliseconds(&self, from: Handle, to: Handle) -> Outcome<f32> {
        self.begin("milliseconds").map(|script| script.times[&to] - script.times[&from])
    }

    fn destroy_event(&self, event: Handle) -> Outcome<()> {
        self.give_back("destroy_event", event)
    }

    fn record(&self, event: Handle, _: Handle) -> Outcome<()> {
        let mut script = self.begin("record")?;
        let clock = script.clock;
        script.times.insert(event, clock);
        Ok(())
    }

    fn wait(&self, _: Handle, _: Handle) -> Outcome<()> {
        self.begin("wait").map(drop)
    }

    fn wait_on_host(&self, _: Handle) -> Outcome<()> {
        self.begin("wait_on_host").map(drop)
    }

    unsafe fn to_device(&self, from: *const u8, to: u64, bytes: usize, _: Handle) -> Outcome<()> {
        let script = self.begin("to_device")?;
        let block = &script.pinned[&(from as Handle)];
        self.gpu.write(to, &block[..bytes]).unwrap();
        Ok(())
    }

    unsafe fn to_host(&self, from: u64, to: *mut u8, bytes: usize, _: Handle) -> Outcome<()> {
        let script = self.begin("to_host")?;
        assert!(script.pinned[&(to as Handle)].len() >= bytes);
        let mut values = vec![0; bytes];
        self.gpu.read(from, &mut values).unwrap();
        // SAFETY: a block of at least `bytes`, as checked, that only its user reads.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), to, bytes) };
        Ok(())
    }

    fn copy(&self, from: u64, to: u64, bytes: usize, stream: Handle) -> Outcome<()> {
        self.put("copy", stream, Work::Copy { from, to, bytes })
    }

    fn zero(&self, at: u64, bytes: usize, stream: Handle) -> Outcome<()> {
        self.put("zero", stream, Work::Zero { at, bytes })
    }

    fn compile(&self, ptx: &CStr) -> Result<Vec<u8>, Rejection> {
        match self.begin("compile") {
            Ok(_) => Ok(ptx.to_bytes().to_vec()),
            Err(code) => Err(Rejection { code, log: self.script().log.into() }),
        }
    }

    fn load(&self, image: &[u8]) -> Outcome<Handle> {
        let handle = self.make("load")?;
        let text = String::from_utf8(image.to_vec()).unwrap();
        let program = self.gpu.load(&text).unwrap();
        self.script().programs.insert(handle, (Arc::new(program), text));
        Ok(handle)
    }

    fn unload(&self, module: Handle) -> Outcome<()> {
        assert!(self.script().captures.are_gone(), "graphs go before the modules of their kernels");
        self.give_back("unload", module)
    }

    fn function(&self, module: Handle, name: &CStr) -> Outcome<Handle> {
        let mut script = self.begin("function")?;
        script.next += 1;
        let handle = script.next;
        script.functions.insert(handle, (module, name.to_str().unwrap().into(), 48 << 10));
        Ok(handle)
    }

    fn dynamic_shared(&self, function: Handle) -> Outcome<u32> {
        self.begin("dynamic_shared").map(|script| script.functions[&function].2)
    }

    fn set_dynamic_shared(&self, function: Handle, bytes: u32) -> Outcome<()> {
        let mut script = self.begin("set_dynamic_shared")?;
        script.functions.get_mut(&function).expect("a function").2 = bytes;
        Ok(())
    }

    unsafe fn launch(&self, kernel: &Kernel<'_>, stream: Handle) -> Outcome<()> {
        let Kernel { function, grid, block, shared_bytes, args } = *kernel;
        if shared_bytes > self.script().functions[&function].2 {
            return Err(Code::INVALID_VALUE);
        }
        let args = args.to_vec();
        self.put("launch", stream, Work::Launch { function, grid, block, shared_bytes, args })
    }
}
