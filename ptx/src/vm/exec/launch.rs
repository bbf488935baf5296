//! A launch: its limits, its arguments, and its blocks over CPU threads.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::block::{Block, Shape};
use super::warp::Geometry;
use crate::launch::Arg;
use crate::vm::ast::Type;
use crate::vm::counters::Counters;
use crate::vm::error::VmError;
use crate::vm::fault::{Fault, FaultKind};
use crate::vm::inst::{CLASSES, Class};
use crate::vm::memory::{GlobalMemory, LaunchMemory, Run};
use crate::vm::program::{Kernel, Program};

/// Static shared memory that a block may have.
const STATIC_SHARED: u32 = 48 << 10;
/// Shared memory that a block may have in all (sm_80, where a kernel opts in).
const SHARED: u32 = 163 << 10;
/// Threads of a block.
const THREADS: u64 = 1024;

/// What is asked for.
pub(in crate::vm) struct Request<'a> {
    pub(in crate::vm) program: &'a Program,
    pub(in crate::vm) kernel: &'a Kernel,
    pub(in crate::vm) grid: [u32; 3],
    pub(in crate::vm) block: [u32; 3],
    pub(in crate::vm) shared_bytes: u32,
    pub(in crate::vm) args: &'a [Arg],
    /// CPU threads.
    pub(in crate::vm) threads: usize,
    /// Warp instructions of a block.
    pub(in crate::vm) budget: u64,
}

/// Why a launch did not end.
pub(in crate::vm) enum Failure {
    Refused(VmError),
    Fault(Fault),
}

fn refuse(kernel: &Kernel, message: String) -> VmError {
    VmError::Launch { kernel: kernel.name.clone(), message }
}

/// The extents that no device passes.
fn check_shape(request: &Request<'_>) -> Result<(), VmError> {
    let Request { kernel, grid, block, .. } = request;
    let fail = |message: String| Err(refuse(kernel, message));
    if grid.contains(&0) {
        return fail(format!("a grid of {grid:?} blocks has none"));
    }
    if block.contains(&0) {
        return fail(format!("a block of {block:?} threads has none"));
    }
    if grid[0] > i32::MAX as u32 || grid[1] > 65535 || grid[2] > 65535 {
        return fail(format!("a grid of {grid:?} blocks; the most are [2147483647, 65535, 65535]"));
    }
    let threads = block.iter().map(|&extent| extent as u64).product::<u64>();
    if threads > THREADS || block[2] > 64 {
        return fail(format!("a block of {block:?} threads; the most are {THREADS}, 64 in z"));
    }
    if let Some(required) = kernel.required_threads
        && required != *block
    {
        return fail(format!("a block of {block:?} threads; the kernel asks for {required:?}"));
    }
    if let Some(most) = kernel.maximum_threads
        && threads > most.iter().map(|&extent| extent as u64).product()
    {
        return fail(format!("a block of {block:?} threads; the kernel takes at most {most:?}"));
    }
    Ok(())
}

/// Extents of the shared variables, dynamic ones included.
fn shared_regions(request: &Request<'_>) -> Result<Vec<Range<u32>>, VmError> {
    let Request { kernel, shared_bytes, .. } = request;
    let fixed = kernel.shared.last().map_or(0, |region| region.end);
    if fixed > STATIC_SHARED {
        let message =
            format!("{fixed} bytes of static shared memory; the most are {STATIC_SHARED}");
        return Err(refuse(kernel, message));
    }
    let mut regions = kernel.shared.clone();
    if *shared_bytes > 0 {
        let all = kernel.dynamic.checked_add(*shared_bytes).filter(|&all| all <= SHARED);
        let end = all.ok_or_else(|| {
            let message = format!(
                "{shared_bytes} bytes of dynamic shared memory after {fixed} static ones; the \
                 most are {SHARED} in all"
            );
            refuse(kernel, message)
        })?;
        regions.push(kernel.dynamic..end);
    }
    Ok(regions)
}

/// Whether an argument is of the parameter's type.
fn fits(arg: &Arg, ty: Type) -> bool {
    match arg {
        Arg::Pointer(_) => matches!(ty, Type::U64 | Type::B64),
        Arg::U64(_) => matches!(ty, Type::U64 | Type::S64 | Type::B64),
        Arg::U32(_) | Arg::I32(_) => matches!(ty, Type::U32 | Type::S32 | Type::B32),
        Arg::F32(_) => matches!(ty, Type::F32 | Type::B32),
        Arg::F64(_) => matches!(ty, Type::F64 | Type::B64),
    }
}

/// The parameter block.
fn parameter_block(kernel: &Kernel, args: &[Arg]) -> Result<Vec<u8>, VmError> {
    let fail = |message: String| Err(VmError::Arguments { kernel: kernel.name.clone(), message });
    if args.len() != kernel.parameters.len() {
        return fail(format!("{} given, {} declared", args.len(), kernel.parameters.len()));
    }
    let extent = kernel.parameters.iter().map(|p| p.offset + p.bytes).max().unwrap_or(0);
    let mut block = vec![0; extent as usize];
    for (at, (parameter, arg)) in kernel.parameters.iter().zip(args).enumerate() {
        if arg.size() != parameter.bytes as usize {
            return fail(format!(
                "argument {at} is {arg:?} of {} bytes; parameter {} has {}",
                arg.size(),
                parameter.name,
                parameter.bytes
            ));
        }
        if !fits(arg, parameter.ty) {
            return fail(format!(
                "argument {at} is {arg:?}; parameter {} is {:?}",
                parameter.name, parameter.ty
            ));
        }
        let bytes = arg.bits().to_le_bytes();
        let at = parameter.offset as usize;
        block[at..at + arg.size()].copy_from_slice(&bytes[..arg.size()]);
    }
    Ok(block)
}

/// Runs a launch to its end.
pub(in crate::vm) fn launch(
    memory: &GlobalMemory,
    request: &Request<'_>,
) -> Result<Counters, Failure> {
    check_shape(request).map_err(Failure::Refused)?;
    let regions = shared_regions(request).map_err(Failure::Refused)?;
    let parameters = parameter_block(request.kernel, request.args).map_err(Failure::Refused)?;
    let geometry =
        Geometry { grid: request.grid, block: request.block, dynamic_shared: request.shared_bytes };
    let shape = Shape {
        program: request.program,
        kernel: request.kernel,
        geometry,
        parameters: &parameters,
        budget: request.budget,
        regions: &regions,
    };
    let blocks = request.grid.iter().map(|&extent| extent as u64).product::<u64>();
    let begin = |run: Run| {
        memory
            .launch(blocks, run)
            .map_err(|error| Failure::Refused(refuse(request.kernel, error.to_string())))
    };
    let threads = request.threads.min(usize::try_from(blocks).unwrap_or(usize::MAX)).max(1);
    let view = begin(if threads == 1 { Run::Serial } else { Run::Parallel })?;
    let fault = match run_blocks(&view, shape, blocks, threads) {
        Ok(mut counters) => {
            let (read, written) = view.distinct_sectors();
            (counters.distinct_read_sectors, counters.distinct_written_sectors) = (read, written);
            return Ok(counters);
        }
        Err(fault) => fault,
    };
    // Once more from the start, in order, keeping who did what: the report does not depend on
    // the number of threads.
    view.roll_back();
    Err(Failure::Fault(named_fault(&begin(Run::Named)?, shape, blocks).unwrap_or(fault)))
}

/// Sums of a CPU thread.
type Sums = (Counters, [u64; CLASSES]);

fn total(sums: impl IntoIterator<Item = Sums>) -> Counters {
    let mut all = Counters::default();
    for (mut counters, classes) in sums {
        counters.integer = classes[Class::Integer as usize];
        counters.float32 = classes[Class::Float32 as usize];
        counters.float64 = classes[Class::Float64 as usize];
        counters.special = classes[Class::Special as usize];
        counters.control = classes[Class::Control as usize];
        counters.memory = classes[Class::Memory as usize];
        counters.exchange = classes[Class::Exchange as usize];
        counters.matrix = classes[Class::Matrix as usize];
        counters.warp_instructions = classes.iter().sum();
        all += counters;
    }
    all
}

fn run_blocks(
    memory: &LaunchMemory,
    shape: Shape<'_>,
    blocks: u64,
    threads: usize,
) -> Result<Counters, Fault> {
    let next = AtomicU64::new(0);
    // Blocks from here on need not run: one before them has a fault.
    let stop = AtomicU64::new(blocks);
    let faults: Mutex<Vec<(u64, Fault)>> = Mutex::new(Vec::new());
    let work = || {
        let mut block = Block::new(shape, memory.view(), false);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= stop.load(Ordering::Relaxed) {
                return (block.counters, block.classes);
            }
            if let Err(fault) = block.run(index) {
                stop.fetch_min(index, Ordering::Relaxed);
                let mut faults = faults.lock().unwrap_or_else(|e| e.into_inner());
                faults.push((index, fault));
            }
        }
    };
    let sums: Vec<Sums> = if threads == 1 {
        vec![work()]
    } else {
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mine = work();
            let others = others.into_iter().map(|other| match other.join() {
                Ok(sums) => sums,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            std::iter::once(mine).chain(others).collect()
        })
    };
    let faults = faults.into_inner().unwrap_or_else(|e| e.into_inner());
    match faults.into_iter().min_by_key(|(index, _)| *index) {
        Some((_, fault)) => Err(fault),
        None => Ok(total(sums)),
    }
}

/// The first fault of the blocks in order, with all that can be known of it.
fn named_fault(memory: &LaunchMemory, shape: Shape<'_>, blocks: u64) -> Option<Fault> {
    let mut block = Block::new(shape, memory.view(), true);
    let mut fault = (0..blocks).find_map(|index| block.run(index).err())?;
    let inst = shape.kernel.function.body.get(fault.site.pc as usize);
    if let (FaultKind::OutOfBounds, Some(wraps), Some(inst)) = (fault.kind, &block.wraps, inst)
        && wraps.address(inst, fault.site.warp, fault.lane)
    {
        fault.kind = FaultKind::IndexOverflow;
        fault.detail.push_str("; its 32-bit index arithmetic wrapped around");
    }
    Some(fault)
}
