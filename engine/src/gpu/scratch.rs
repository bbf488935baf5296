//! Device memory that operations work in.

use super::{Driver, memory};
use crate::{Buffer, DType, DeviceId, Result};

/// One block per slot, as large as the largest request so far.
#[derive(Default)]
pub struct Scratch {
    slots: Vec<Option<Buffer>>,
}

impl Scratch {
    /// Every block as it is now.
    pub fn blocks(&self) -> Vec<Buffer> {
        self.slots.iter().flatten().cloned().collect()
    }

    /// Bytes of each slot; 0 for one that nobody asked for.
    pub fn bytes(&self) -> Vec<usize> {
        self.slots.iter().map(|slot| slot.as_ref().map_or(0, Buffer::byte_len)).collect()
    }

    /// Address of `bytes` bytes in `slot`.
    pub fn get<D: Driver>(
        &mut self,
        driver: &mut D,
        device: DeviceId,
        slot: usize,
        bytes: usize,
    ) -> Result<u64> {
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, None);
        }
        let entry = &mut self.slots[slot];
        if let Some(block) = entry.as_ref().filter(|block| block.byte_len() >= bytes) {
            return Ok(block.address() as u64);
        }
        // The old block goes first, so that growing does not need both at once.
        *entry = None;
        // Counted in the largest element: the allocator aligns to 256 bytes whatever the type.
        let block = memory::alloc(driver, device, DType::F64, bytes.div_ceil(8))?;
        let address = block.address() as u64;
        *entry = Some(block);
        Ok(address)
    }
}
