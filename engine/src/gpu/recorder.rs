//! A driver, and whether it is recording.

use ltm_ptx::{EntryPoint, Launch};

use super::{Driver, Gemm, Product, ProductChoices, Recording, Release};
use crate::{Clock, Error, HostBlock, Mark, MemoryInfo, MemoryUse, Result, Transfer};

/// A driver that refuses, while it records, whatever a recording cannot hold.
pub struct Recorder<D> {
    driver: D,
    recording: bool,
}

impl<D: Driver> Recorder<D> {
    /// Not recording.
    pub fn new(driver: D) -> Self {
        Self { driver, recording: false }
    }

    /// The driver itself.
    pub fn inner(&mut self) -> &mut D {
        &mut self.driver
    }

    fn outside(&self, op: &'static str) -> Result<()> {
        if self.recording { Err(Error::Recording { op }) } else { Ok(()) }
    }
}

impl<D: Driver> Driver for Recorder<D> {
    fn name(&self) -> String {
        self.driver.name()
    }

    fn alloc(&mut self, bytes: usize) -> Result<(u64, Release)> {
        self.outside("alloc")?;
        self.driver.alloc(bytes)
    }

    fn alloc_zeroed(&mut self, bytes: usize) -> Result<(u64, Release)> {
        self.outside("alloc")?;
        self.driver.alloc_zeroed(bytes)
    }

    fn memory(&self) -> Option<MemoryInfo> {
        self.driver.memory()
    }

    fn usage(&self) -> Option<MemoryUse> {
        self.driver.usage()
    }

    fn prepare(&mut self, entry: &'static EntryPoint) -> Result<()> {
        self.driver.prepare(entry)
    }

    fn upload(&mut self, to: u64, bytes: &[u8]) -> Result<()> {
        self.outside("upload")?;
        self.driver.upload(to, bytes)
    }

    fn download(&mut self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.outside("download")?;
        self.driver.download(from, bytes)
    }

    fn copy(&mut self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.driver.copy(from, to, bytes)
    }

    fn zero(&mut self, at: u64, bytes: usize) -> Result<()> {
        self.driver.zero(at, bytes)
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        self.driver.launch(launch)
    }

    fn synchronize(&mut self) -> Result<()> {
        self.outside("synchronize")?;
        self.driver.synchronize()
    }

    fn mark(&mut self) -> Result<Mark> {
        self.outside("mark")?;
        self.driver.mark()
    }

    fn seconds_between(&mut self, from: &Mark, to: &Mark) -> Result<f64> {
        self.outside("seconds_between")?;
        self.driver.seconds_between(from, to)
    }

    fn clock(&self) -> Clock {
        self.driver.clock()
    }

    fn host_block(&mut self, bytes: usize) -> Result<HostBlock> {
        self.outside("host_block")?;
        self.driver.host_block(bytes)
    }

    fn post(&mut self, block: HostBlock, to: u64, bytes: usize) -> Result<Transfer> {
        self.outside("post")?;
        self.driver.post(block, to, bytes)
    }

    fn arrive(&mut self, transfer: &Transfer) -> Result<()> {
        self.outside("arrive")?;
        self.driver.arrive(transfer)
    }

    fn fetch(&mut self, from: u64, block: HostBlock, bytes: usize) -> Result<Transfer> {
        self.outside("fetch")?;
        self.driver.fetch(from, block, bytes)
    }

    fn recover(&mut self, transfer: Transfer) -> Result<HostBlock> {
        self.outside("recover")?;
        self.driver.recover(transfer)
    }

    fn choose_products(&mut self, gemm: Gemm, kept: &ProductChoices) -> Result<()> {
        self.outside("choose_products")?;
        self.driver.choose_products(gemm, kept)
    }

    fn product_choices(&self) -> ProductChoices {
        self.driver.product_choices()
    }

    fn prepare_product(&mut self, product: &Product, own: &[Launch]) -> Result<()> {
        self.outside("prepare_product")?;
        self.driver.prepare_product(product, own)
    }

    fn gives_away(&self, product: &Product) -> bool {
        self.driver.gives_away(product)
    }

    fn product(&mut self, product: &Product) -> Result<bool> {
        self.driver.product(product)
    }

    fn begin_recording(&mut self) -> Result<bool> {
        self.outside("begin_recording")?;
        self.recording = self.driver.begin_recording()?;
        Ok(self.recording)
    }

    fn end_recording(&mut self) -> Result<Recording> {
        if !std::mem::take(&mut self.recording) {
            return Err(Error::Recording { op: "end_recording" });
        }
        self.driver.end_recording()
    }

    fn replay(&mut self, recording: &Recording) -> Result<()> {
        self.outside("replay")?;
        self.driver.replay(recording)
    }
}
