//! The virtual GPU as a driver: the compiled kernels, executed and checked on the CPU.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ltm_ptx::launch::module;
use ltm_ptx::vm::counters::Counters;
use ltm_ptx::vm::{Config, Program, VirtualGpu, VmError};
use ltm_ptx::{EntryPoint, Launch};

use super::{Driver, Gpu, Recording, Release};
use crate::{Error, MemoryInfo, MemoryUse, Result};

/// For people.
const NAME: &str = "vm";
/// Launches that are remembered: more than an iteration of a small model makes.
const LOG: usize = 1 << 14;

/// What one launch was and did.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchRecord {
    /// What ran.
    pub entry: &'static EntryPoint,
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// Dynamic shared memory of a block, bytes.
    pub shared_bytes: u32,
    /// Exact counts, summed over its blocks.
    pub counters: Counters,
}

/// A driver without hardware. Every launch is finished when its call returns; a finding of a
/// check is its error.
pub struct Vm {
    gpu: Arc<VirtualGpu>,
    programs: HashMap<&'static str, Program>,
    launches: VecDeque<LaunchRecord>,
    /// What is being written down.
    recording: Option<Vec<Command>>,
}

/// An entry of a recording.
enum Command {
    Launch(Launch),
    Copy { from: u64, to: u64, bytes: usize },
    Zero { at: u64, bytes: usize },
}

impl Gpu<Vm> {
    /// A virtual GPU on `threads` threads of the host (0: one per core). Results do not depend
    /// on their number.
    pub fn virtual_gpu(threads: usize) -> Self {
        Self::new(Vm::of_size(threads, None))
    }
}

impl Vm {
    /// A virtual GPU on `threads` threads of the host with `memory` bytes, 16 GiB if it is not
    /// said.
    pub fn of_size(threads: usize, memory: Option<u64>) -> Self {
        let plain = Config::default();
        Self::new(Config { threads, memory: memory.unwrap_or(plain.memory), ..plain })
    }

    /// A virtual GPU with nothing in its memory.
    pub fn new(config: Config) -> Self {
        Self {
            gpu: Arc::new(VirtualGpu::new(config)),
            programs: HashMap::new(),
            launches: VecDeque::new(),
            recording: None,
        }
    }

    /// Decodes a module, so that it need not be when a kernel of it is launched.
    ///
    /// # Errors
    /// [`Error::Kernel`], for the first kernel, if the module is refused; for the kernel that it
    /// lacks otherwise.
    pub fn load(&mut self, module: &str) -> Result<()> {
        for entry in ltm_ptx::entry_points().filter(|entry| entry.module == module) {
            let program = program(&mut self.programs, &self.gpu, entry)?;
            if !program.entries().iter().any(|name| name == entry.name) {
                return Err(failed(entry.name, format!("not in module {module}")));
            }
        }
        Ok(())
    }

    /// The launches since the last call, oldest first; at most the last 16,384.
    pub fn take_launches(&mut self) -> Vec<LaunchRecord> {
        std::mem::take(&mut self.launches).into()
    }
}

impl Vm {
    fn block(
        &self,
        bytes: usize,
        alloc: impl FnOnce(&VirtualGpu, usize) -> std::result::Result<u64, VmError>,
    ) -> Result<(u64, Release)> {
        // Nothing is an address too, so that every block has one of its own.
        let address = alloc(&self.gpu, bytes.max(1)).map_err(|e| refused("alloc", e))?;
        let gpu = self.gpu.clone();
        let release = move |address: usize, _: usize| {
            // Called once per block, by the last handle on it: there is nobody left to tell.
            let _ = gpu.free(address as u64);
        };
        Ok((address, Box::new(release)))
    }
}

/// Finds the program of a kernel, parsing its module when it is first asked for.
fn program<'a>(
    programs: &'a mut HashMap<&'static str, Program>,
    gpu: &VirtualGpu,
    entry: &'static EntryPoint,
) -> Result<&'a Program> {
    if !programs.contains_key(entry.module) {
        let Some(module) = module(entry.module) else {
            return Err(failed(entry.name, format!("no module {} in this build", entry.module)));
        };
        let program = gpu.load(module.ptx).map_err(|e| refused(entry.name, e))?;
        programs.insert(entry.module, program);
    }
    match programs.get(entry.module) {
        Some(program) => Ok(program),
        None => Err(failed(entry.name, format!("module {} was not loaded", entry.module))),
    }
}

fn failed(kernel: &'static str, report: String) -> Error {
    Error::Kernel { kernel, report }
}

fn refused(kernel: &'static str, error: VmError) -> Error {
    match error {
        VmError::OutOfMemory { bytes } => Error::OutOfMemory { bytes, device: NAME.into() },
        error => failed(kernel, error.to_string()),
    }
}

impl Driver for Vm {
    fn name(&self) -> String {
        let threads = match self.gpu.config().threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
            threads => threads,
        };
        let plural = if threads == 1 { "" } else { "s" };
        format!("{NAME} (virtual GPU, sm_80, {threads} host thread{plural})")
    }

    fn alloc(&mut self, bytes: usize) -> Result<(u64, Release)> {
        self.block(bytes, VirtualGpu::alloc)
    }

    fn alloc_zeroed(&mut self, bytes: usize) -> Result<(u64, Release)> {
        self.block(bytes, VirtualGpu::alloc_zeroed)
    }

    fn memory(&self) -> Option<MemoryInfo> {
        let total = self.gpu.config().memory;
        Some(MemoryInfo { total, free: total.saturating_sub(self.gpu.usage().used) })
    }

    fn usage(&self) -> Option<MemoryUse> {
        Some(self.gpu.usage())
    }

    fn prepare(&mut self, entry: &'static EntryPoint) -> Result<()> {
        program(&mut self.programs, &self.gpu, entry).map(|_| ())
    }

    fn upload(&mut self, to: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.gpu.write(to, bytes).map_err(|e| refused("upload", e))
    }

    fn download(&mut self, from: u64, bytes: &mut [u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.gpu.read(from, bytes).map_err(|e| refused("download", e))
    }

    fn copy(&mut self, from: u64, to: u64, bytes: usize) -> Result<()> {
        if let Some(recording) = &mut self.recording {
            recording.push(Command::Copy { from, to, bytes });
            return Ok(());
        }
        if bytes == 0 {
            return Ok(());
        }
        self.gpu.copy(from, to, bytes).map_err(|e| refused("copy", e))
    }

    fn zero(&mut self, at: u64, bytes: usize) -> Result<()> {
        if let Some(recording) = &mut self.recording {
            recording.push(Command::Zero { at, bytes });
            return Ok(());
        }
        if bytes == 0 {
            return Ok(());
        }
        self.gpu.zero(at, bytes).map_err(|e| refused("zero", e))
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        if let Some(recording) = &mut self.recording {
            recording.push(Command::Launch(launch.clone()));
            return Ok(());
        }
        let Launch { entry, grid, block, shared_bytes, ref args } = *launch;
        let program = program(&mut self.programs, &self.gpu, entry)?;
        let counters = self
            .gpu
            .launch(program, entry.name, grid, block, shared_bytes, args)
            .map_err(|e| refused(entry.name, e))?;
        if self.launches.len() == LOG {
            self.launches.pop_front();
        }
        self.launches.push_back(LaunchRecord { entry, grid, block, shared_bytes, counters });
        Ok(())
    }

    fn synchronize(&mut self) -> Result<()> {
        Ok(())
    }

    fn begin_recording(&mut self) -> Result<bool> {
        self.recording = Some(Vec::new());
        Ok(true)
    }

    fn end_recording(&mut self) -> Result<Recording> {
        Ok(Box::new(self.recording.take().unwrap_or_default()))
    }

    fn replay(&mut self, recording: &Recording) -> Result<()> {
        let Some(commands) = recording.downcast_ref::<Vec<Command>>() else {
            return Err(Error::Foreign { op: "replay" });
        };
        commands.iter().try_for_each(|command| match command {
            Command::Launch(launch) => self.launch(launch),
            &Command::Copy { from, to, bytes } => self.copy(from, to, bytes),
            &Command::Zero { at, bytes } => self.zero(at, bytes),
        })
    }
}
