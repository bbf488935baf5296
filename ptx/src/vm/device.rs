//! The virtual GPU as a host sees it: memory, programs, launches.

use std::fmt;
use std::sync::atomic::AtomicU8;

use super::access::Site;
use super::ast::{Module, Space};
use super::counters::Counters;
use super::decode::{Variable, decode};
use super::error::{FaultReport, Place, VmError, block_of, thread_of};
use super::exec::{Failure, Request, launch};
use super::fault::Fault;
use super::memory::{GlobalMemory, MemoryError, MemoryUse};
use super::parse::parse;
use super::program::{Kernel, Program};
use crate::launch::Arg;

/// How the virtual GPU runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// CPU threads that run blocks; 0 for one per core. Results do not depend on it.
    pub threads: usize,
    /// Warp instructions that one block may issue before it counts as runaway.
    pub budget: u64,
    /// Bytes of device memory.
    pub memory: u64,
    /// Programs remember which of their instructions were issued ([`Program::issued`]).
    pub trace: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { threads: 0, budget: 1 << 32, memory: 16 << 30, trace: false }
    }
}

/// A device without hardware: executes PTX on the CPU and checks what it does. May be shared
/// between threads; launches run one after the other.
pub struct VirtualGpu {
    config: Config,
    memory: GlobalMemory,
    /// One launch at a time.
    running: std::sync::Mutex<()>,
}

impl fmt::Debug for VirtualGpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualGpu").field("config", &self.config).finish_non_exhaustive()
    }
}

fn host(error: MemoryError) -> VmError {
    match error {
        MemoryError::Budget { asked, .. } => VmError::OutOfMemory { bytes: asked as usize },
        other => VmError::Host(other.to_string()),
    }
}

impl VirtualGpu {
    /// A device with no allocations.
    pub fn new(config: Config) -> Self {
        let memory = GlobalMemory::new(config.memory);
        Self { config, memory, running: std::sync::Mutex::new(()) }
    }

    /// How it runs.
    pub fn config(&self) -> Config {
        self.config
    }

    /// Device memory, 256-byte aligned, contents undefined (a read before a write is a fault).
    ///
    /// # Errors
    /// [`VmError::OutOfMemory`].
    pub fn alloc(&self, bytes: usize) -> Result<u64, VmError> {
        self.memory.alloc(bytes as u64).map_err(host)
    }

    /// As [`VirtualGpu::alloc`], but every byte is zero. Memory of the host is taken when something
    /// touches it, or at the next launch.
    ///
    /// # Errors
    /// [`VmError::OutOfMemory`].
    pub fn alloc_zeroed(&self, bytes: usize) -> Result<u64, VmError> {
        self.memory.alloc_zeroed(bytes as u64).map_err(host)
    }

    /// What is allocated, and the most that ever was at once.
    pub fn usage(&self) -> MemoryUse {
        self.memory.usage()
    }

    /// Gives back what [`VirtualGpu::alloc`] returned.
    ///
    /// # Errors
    /// [`VmError::Host`] for an address that it did not return, or that is free already.
    pub fn free(&self, address: u64) -> Result<(), VmError> {
        self.memory.free(address).map_err(host)
    }

    /// Host to device.
    ///
    /// # Errors
    /// [`VmError::Host`] for bytes outside one allocation.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), VmError> {
        self.memory.write(address, bytes).map_err(host)
    }

    /// Device to host. Bytes that nothing wrote are read as they are.
    ///
    /// # Errors
    /// As [`VirtualGpu::write`].
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), VmError> {
        self.memory.read(address, bytes).map_err(host)
    }

    /// Sets bytes to zero.
    ///
    /// # Errors
    /// As [`VirtualGpu::write`].
    pub fn zero(&self, address: u64, bytes: usize) -> Result<(), VmError> {
        self.memory.zero(address, bytes as u64).map_err(host)
    }

    /// Device to device, with what is known of the bytes; the ranges may overlap.
    ///
    /// # Errors
    /// As [`VirtualGpu::write`].
    pub fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), VmError> {
        self.memory.copy(to, from, bytes as u64).map_err(host)
    }

    /// Parses and decodes a PTX text. An opcode that is not known is an error here, not at the
    /// launch. Variables in global memory take device memory, which the program keeps for as long
    /// as the device lives.
    ///
    /// # Errors
    /// [`VmError::Parse`], [`VmError::Decode`], [`VmError::OutOfMemory`].
    pub fn load(&self, ptx: &str) -> Result<Program, VmError> {
        let module = parse(ptx)
            .map_err(|error| VmError::Parse { line: error.line, message: error.to_string() })?;
        let (outside, constants) = self.variables(&module)?;
        let mut program = Program {
            kernels: Vec::new(),
            text: ptx.lines().map(str::to_string).collect(),
            files: module.files.clone(),
            constants,
        };
        for function in &module.functions {
            let mut kernel = decode(&module, function, &outside, &|line| program.line(line))?;
            if self.config.trace {
                kernel.issued = kernel.code.iter().map(|_| AtomicU8::new(0)).collect();
            }
            program.kernels.push(kernel);
        }
        Ok(program)
    }

    /// Places the variables of a module: addresses of global and const ones, and the const bank.
    fn variables(&self, module: &Module) -> Result<(Vec<Variable>, Vec<u8>), VmError> {
        let mut outside = Vec::new();
        let mut constants: Vec<u8> = Vec::new();
        for variable in &module.variables {
            let bytes = variable.bytes.unwrap_or(0) as usize;
            let at = match variable.space {
                Space::Global => {
                    let at = self.memory.alloc_variable(bytes as u64).map_err(host)?;
                    self.write(at, &variable.initial)?;
                    at
                }
                Space::Const => {
                    let at = constants.len().next_multiple_of(variable.align.max(1) as usize);
                    let end = at.saturating_add(bytes);
                    if end > CONST_BANK {
                        return Err(VmError::OutOfMemory { bytes: end });
                    }
                    constants.resize(end, 0);
                    constants[at..at + variable.initial.len()].copy_from_slice(&variable.initial);
                    at as u64
                }
                Space::Shared | Space::Local | Space::Param => continue,
            };
            outside.push((variable.name.clone(), variable.space, at));
        }
        Ok((outside, constants))
    }

    /// Runs an entry point to its end and says what it did. `shared_bytes` is the dynamic shared
    /// memory of a block. Which fault is reported does not depend on the number of threads: it
    /// is that of the lowest block that has one. After a fault the memory holds what the launch
    /// wrote until then.
    ///
    /// # Errors
    /// [`VmError::UnknownEntry`], [`VmError::Arguments`], [`VmError::Launch`], and
    /// [`VmError::Fault`] for what a check found.
    pub fn launch(
        &self,
        program: &Program,
        entry: &str,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
        args: &[Arg],
    ) -> Result<Counters, VmError> {
        let kernel = program.kernels.iter().find(|kernel| kernel.name == entry);
        let kernel = kernel.ok_or_else(|| VmError::UnknownEntry {
            name: entry.to_string(),
            known: program.entries(),
        })?;
        let threads = match self.config.threads {
            0 => std::thread::available_parallelism().map_or(1, |threads| threads.get()),
            threads => threads,
        };
        let budget = self.config.budget;
        let request = Request { program, kernel, grid, block, shared_bytes, args, threads, budget };
        let _alone = self.running.lock().unwrap_or_else(|e| e.into_inner());
        launch(&self.memory, &request).map_err(|failure| match failure {
            Failure::Refused(error) => error,
            Failure::Fault(fault) => {
                VmError::Fault(Box::new(report(program, kernel, grid, block, fault)))
            }
        })
    }
}

/// Bytes of const memory that a module may have.
const CONST_BANK: usize = 64 << 10;

/// A finding in words.
fn report(
    program: &Program,
    kernel: &Kernel,
    grid: [u32; 3],
    block: [u32; 3],
    fault: Fault,
) -> FaultReport {
    let place = |site: Site, lane: u32| {
        let inst = kernel.function.body.get(site.pc as usize);
        let line = inst.map_or(0, |inst| inst.line);
        Place {
            block: block_of(site.block, grid),
            thread: thread_of(site.warp, lane, block),
            line,
            text: program.line(line),
            source: program.source(inst.and_then(|inst| inst.source)),
        }
    };
    FaultReport {
        kernel: kernel.name.clone(),
        kind: fault.kind,
        place: place(fault.site, fault.lane),
        detail: fault.detail.clone(),
        other: fault.other.map(|(site, lane, wrote)| (place(site, lane), wrote)),
        fault,
    }
}
