//! A driver that remembers everything that was asked of it.

use std::sync::{Arc, Mutex};

use ltm_engine::gpu::{Driver, Gpu, Release};
use ltm_engine::{Error, MemoryInfo, Result};
use ltm_ptx::Launch;
use ltm_ptx::launch::{Arg, EntryPoint};
use ltm_ptx::vm::{Config, VirtualGpu};

use super::programs::original;
use crate::{Case, Data, Format, Layout, run};

/// One request to a driver, with what it answered.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Memory at an address.
    Alloc { bytes: usize, address: u64 },
    /// Memory given back.
    Free { address: u64 },
    /// Host to device.
    Upload { to: u64, bytes: Vec<u8> },
    /// Device to host.
    Download { from: u64, bytes: Vec<u8> },
    /// Device to device.
    Copy { from: u64, to: u64, bytes: usize },
    /// Bytes set to zero.
    Zero { at: u64, bytes: usize },
    /// A kernel.
    Launch(Launch),
}

/// What one call of an operation asked of the driver.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The call.
    pub name: String,
    pub(super) events: Vec<Event>,
    /// Warp instructions of all its launches.
    pub(super) instructions: u64,
    /// Plays mutants of comparisons alone.
    pub(super) of_comparisons: bool,
}

impl Recording {
    /// Runs a call on the virtual GPU.
    ///
    /// # Errors
    /// What the device says.
    pub fn new(
        case: &dyn Case,
        format: Format,
        layout: Layout,
    ) -> std::result::Result<Self, String> {
        let name = format!("{case} in {format}, {layout:?}");
        let (recorder, events) = Recorder::new();
        let mut gpu = Gpu::new(recorder);
        run(case, &case.args(format), &mut gpu, layout)
            .map_err(|error| format!("{name}: {error}"))?;
        Ok(Self::of(name, gpu.driver(), &events))
    }

    /// Runs a call that the device must turn down.
    ///
    /// # Errors
    /// A call that is not turned down.
    pub fn refused(case: &dyn Case, format: Format) -> std::result::Result<Self, String> {
        let name = format!("{case} in {format}, refused");
        let (mut recorder, events) = Recorder::new();
        recorder.looks = true;
        let mut gpu = Gpu::new(recorder);
        match run(case, &case.args(format), &mut gpu, Layout::WHOLE) {
            Err(_) => Ok(Self::of(name, gpu.driver(), &events)),
            Ok(_) => Err(format!("{name}: it was not")),
        }
    }

    /// Launches one kernel on `buffers`, then downloads them. `arguments` gets their addresses.
    ///
    /// # Errors
    /// What the device says.
    pub fn launch(
        entry: &'static EntryPoint,
        grid: [u32; 3],
        block: [u32; 3],
        buffers: &[Data],
        arguments: &dyn Fn(&[u64]) -> Vec<Arg>,
    ) -> std::result::Result<Self, String> {
        let name = format!("{} on {grid:?} blocks of {block:?}", entry.name);
        let fail = |error: ltm_engine::Error| format!("{name}: {error}");
        let (mut driver, events) = Recorder::new();
        let mut held = Vec::new();
        for buffer in buffers {
            let bytes = buffer.bytes();
            held.push(driver.alloc(bytes.len()).map_err(fail)?);
            driver.upload(held[held.len() - 1].0, &bytes).map_err(fail)?;
        }
        let addresses: Vec<u64> = held.iter().map(|(address, _)| *address).collect();
        let args = arguments(&addresses);
        driver.launch(&Launch { entry, grid, block, shared_bytes: 0, args }).map_err(fail)?;
        for (address, buffer) in addresses.iter().zip(buffers) {
            driver.download(*address, &mut vec![0; buffer.bytes().len()]).map_err(fail)?;
        }
        Ok(Self::of(name, &driver, &events))
    }

    /// The same requests with other launches, and what they answer then.
    ///
    /// # Errors
    /// What the device says.
    pub fn altered(&self, change: &dyn Fn(&mut Launch)) -> std::result::Result<Self, String> {
        let name = format!("{}, altered", self.name);
        let fail = |error: ltm_engine::Error| format!("{name}: {error}");
        let (mut driver, events) = Recorder::new();
        let mut held = Vec::new();
        for event in &self.events {
            match event {
                Event::Alloc { bytes, .. } => held.push(driver.alloc(*bytes).map_err(fail)?),
                // All memory is held to the end: no address depends on what is freed.
                Event::Free { .. } => {}
                Event::Upload { to, bytes } => driver.upload(*to, bytes).map_err(fail)?,
                Event::Download { from, bytes } => {
                    driver.download(*from, &mut vec![0; bytes.len()]).map_err(fail)?;
                }
                Event::Copy { from, to, bytes } => driver.copy(*from, *to, *bytes).map_err(fail)?,
                Event::Zero { at, bytes } => driver.zero(*at, *bytes).map_err(fail)?,
                Event::Launch(launch) => {
                    let mut launch = launch.clone();
                    change(&mut launch);
                    driver.launch(&launch).map_err(fail)?;
                }
            }
        }
        let of_comparisons = self.of_comparisons;
        Ok(Self { of_comparisons, ..Self::of(name.clone(), &driver, &events) })
    }

    fn of(name: String, recorder: &Recorder, events: &Log) -> Self {
        let events = std::mem::take(&mut *lock(events));
        Self { name, events, instructions: recorder.instructions, of_comparisons: false }
    }

    /// One of many that differ in an extent: it is played for mutants of comparisons alone.
    pub fn of_comparisons(self) -> Self {
        Self { of_comparisons: true, ..self }
    }

    /// The launches, in order.
    pub fn launches(&self) -> impl Iterator<Item = &Launch> {
        self.events.iter().filter_map(|event| match event {
            Event::Launch(launch) => Some(launch),
            _ => None,
        })
    }
}

type Log = Arc<Mutex<Vec<Event>>>;

fn lock(log: &Log) -> std::sync::MutexGuard<'_, Vec<Event>> {
    // A panic elsewhere leaves whole events.
    log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Recorder {
    gpu: Arc<VirtualGpu>,
    events: Log,
    instructions: u64,
    /// Arguments are downloaded before they are given back.
    looks: bool,
}

impl Recorder {
    fn new() -> (Self, Log) {
        let events = Log::default();
        let gpu = Arc::new(VirtualGpu::new(Config { threads: 1, ..Config::default() }));
        (Self { gpu, events: Arc::clone(&events), instructions: 0, looks: false }, events)
    }

    fn note(&self, event: Event) {
        lock(&self.events).push(event);
    }
}

fn failed(kernel: &'static str, report: impl ToString) -> Error {
    Error::Kernel { kernel, report: report.to_string() }
}

impl Driver for Recorder {
    fn name(&self) -> String {
        "recorder".into()
    }

    fn alloc(&mut self, bytes: usize) -> Result<(u64, Release)> {
        let bytes = bytes.max(1);
        let address = self.gpu.alloc(bytes).map_err(|e| failed("alloc", e))?;
        self.note(Event::Alloc { bytes, address });
        let (gpu, events) = (Arc::clone(&self.gpu), Arc::clone(&self.events));
        let (from, looks) = (address, self.looks);
        let release = move |address: usize, _: usize| {
            // What the host put there it looks at in the end, whole, as a refused call leaves it.
            let put = |event: &Event| matches!(event, Event::Upload { to, .. } if *to == from);
            let mut content = vec![0; bytes];
            if looks && lock(&events).iter().any(put) && gpu.read(from, &mut content).is_ok() {
                lock(&events).push(Event::Download { from, bytes: content });
            }
            // Called once per block, by the last handle on it: there is nobody left to tell.
            let _ = gpu.free(address as u64);
            lock(&events).push(Event::Free { address: address as u64 });
        };
        Ok((address, Box::new(release)))
    }

    fn memory(&self) -> Option<MemoryInfo> {
        None
    }

    fn upload(&mut self, to: u64, bytes: &[u8]) -> Result<()> {
        if !bytes.is_empty() {
            self.gpu.write(to, bytes).map_err(|e| failed("upload", e))?;
            self.note(Event::Upload { to, bytes: bytes.to_vec() });
        }
        Ok(())
    }

    fn download(&mut self, from: u64, bytes: &mut [u8]) -> Result<()> {
        if !bytes.is_empty() {
            self.gpu.read(from, bytes).map_err(|e| failed("download", e))?;
            self.note(Event::Download { from, bytes: bytes.to_vec() });
        }
        Ok(())
    }

    fn copy(&mut self, from: u64, to: u64, bytes: usize) -> Result<()> {
        if bytes > 0 {
            self.gpu.copy(from, to, bytes).map_err(|e| failed("copy", e))?;
            self.note(Event::Copy { from, to, bytes });
        }
        Ok(())
    }

    fn zero(&mut self, at: u64, bytes: usize) -> Result<()> {
        if bytes > 0 {
            self.gpu.zero(at, bytes).map_err(|e| failed("zero", e))?;
            self.note(Event::Zero { at, bytes });
        }
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        let Launch { entry, grid, block, shared_bytes, ref args } = *launch;
        let program = original(entry).map_err(|e| failed(entry.name, e))?;
        let counters = self
            .gpu
            .launch(&program, entry.name, grid, block, shared_bytes, args)
            .map_err(|e| failed(entry.name, e))?;
        self.instructions += counters.warp_instructions;
        self.note(Event::Launch(launch.clone()));
        Ok(())
    }

    fn synchronize(&mut self) -> Result<()> {
        Ok(())
    }
}
