//! Memory and copies of a GPU.

use super::{Driver, Gemm, Gpu, ProductChoices, memory, pointer};
use crate::device::held;
use crate::{
    Buffer, Clock, DType, Device, DeviceId, Error, Graph, HostBlock, Kept, Mark, MemoryInfo,
    MemoryUse, Processor, Result, Transfer,
};

impl<D: Driver> Device for Gpu<D> {
    fn id(&self) -> DeviceId {
        self.id
    }

    fn name(&self) -> String {
        self.driver.name()
    }

    fn alloc(&mut self, dtype: DType, len: usize) -> Result<Buffer> {
        memory::alloc_zeroed(&mut self.driver, self.id, dtype, len)
    }

    fn stores(&self, storage: DType) -> bool {
        matches!(storage, DType::F32 | DType::BF16)
    }

    fn upload_bytes(&mut self, to: &Buffer, bytes: &[u8]) -> Result<()> {
        same_length("upload", to.byte_len(), bytes.len())?;
        self.driver.upload(pointer(self.id, "upload", to)?, bytes)
    }

    fn download_bytes(&mut self, from: &Buffer, bytes: &mut [u8]) -> Result<()> {
        same_length("download", from.byte_len(), bytes.len())?;
        self.driver.download(pointer(self.id, "download", from)?, bytes)?;
        self.check_faults()
    }

    fn copy(&mut self, from: &Buffer, to: &Buffer) -> Result<()> {
        same_length("copy", from.byte_len(), to.byte_len())?;
        if from.dtype() != to.dtype() {
            let (found, expected) = (to.dtype(), from.dtype());
            return Err(Error::Type { op: "copy", what: "to", found, expected });
        }
        if from.overlaps(to) {
            return Err(Error::Overlap { op: "copy" });
        }
        let [source, target] = [from, to].map(|buffer| pointer(self.id, "copy", buffer));
        let (source, target) = (source?, target?);
        match self.rehearsing {
            true => Ok(()),
            false => self.driver.copy(source, target, from.byte_len()),
        }
    }

    fn zero(&mut self, buffer: &Buffer) -> Result<()> {
        let at = pointer(self.id, "zero", buffer)?;
        match self.rehearsing {
            true => Ok(()),
            false => self.driver.zero(at, buffer.byte_len()),
        }
    }

    fn synchronize(&mut self) -> Result<()> {
        self.driver.synchronize()?;
        self.check_faults()
    }

    fn begin_recording(&mut self) -> Result<bool> {
        self.driver.begin_recording()
    }

    fn end_recording(&mut self) -> Result<Graph> {
        let recording = self.driver.end_recording()?;
        // Its operations were given the scratch blocks as they are; a larger request by somebody
        // else puts others in their place, and must not free these.
        Ok(Graph { device: self.id, recording, _keeps: self.scratch.blocks() })
    }

    fn replay(&mut self, graph: &Graph) -> Result<()> {
        if graph.device != self.id {
            return Err(Error::Foreign { op: "replay" });
        }
        self.driver.replay(&graph.recording)?;
        self.expect_faults();
        Ok(())
    }

    fn mark(&mut self) -> Result<Mark> {
        self.driver.mark()
    }

    fn seconds_between(&mut self, from: &Mark, to: &Mark) -> Result<f64> {
        self.driver.seconds_between(from, to)
    }

    fn clock(&self) -> Clock {
        self.driver.clock()
    }

    fn host_block(&mut self, bytes: usize) -> Result<HostBlock> {
        self.driver.host_block(bytes)
    }

    fn post(&mut self, block: HostBlock, to: &Buffer) -> Result<Transfer> {
        let part = held("post", &block, to)?;
        self.driver.post(block, pointer(self.id, "post", to)?, part.len())
    }

    fn arrive(&mut self, transfer: &Transfer) -> Result<()> {
        self.driver.arrive(transfer)
    }

    fn fetch(&mut self, from: &Buffer, block: HostBlock) -> Result<Transfer> {
        let part = held("fetch", &block, from)?;
        self.driver.fetch(pointer(self.id, "fetch", from)?, block, part.len())
    }

    fn recover(&mut self, transfer: Transfer) -> Result<HostBlock> {
        self.driver.recover(transfer)
    }

    fn choose_products(&mut self, gemm: Gemm, kept: &ProductChoices) -> Result<()> {
        self.driver.choose_products(gemm, kept)
    }

    fn product_choices(&self) -> ProductChoices {
        self.driver.product_choices()
    }

    fn processor(&self) -> Processor {
        Processor::Gpu
    }

    fn memory(&self) -> Option<MemoryInfo> {
        let memory = self.driver.memory()?;
        Some(self.limit.map_or(memory, |limit| memory.limited(limit)))
    }

    fn usage(&self) -> Option<MemoryUse> {
        self.driver.usage()
    }

    fn rehearse(&mut self, on: bool) -> bool {
        self.rehearsing = on;
        true
    }

    fn kept(&self) -> Kept {
        Kept { scratch: self.scratch.bytes(), tables: self.ropes.bytes() }
    }

    fn reserve(&mut self, scratch: &[usize]) -> Result<()> {
        for (slot, &bytes) in scratch.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
            self.scratch(slot, bytes)?;
        }
        Ok(())
    }
}

fn same_length(op: &'static str, a: usize, b: usize) -> Result<()> {
    if a == b {
        return Ok(());
    }
    Err(Error::Extent { op, what: "byte range", found: b, expected: a })
}
