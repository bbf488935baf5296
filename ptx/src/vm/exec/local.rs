//! Memory of single threads, and the read-only spaces that all threads share.

use crate::vm::access::{Lanes, WARP, Wide, lanes};
use crate::vm::fault::FaultKind;

/// A lane, what is wrong with its access, and the particulars.
pub(super) type Wrong = (usize, FaultKind, String);

/// Local memory of the 32 threads of a warp.
#[derive(Clone, Debug, Default)]
pub(super) struct LocalMemory {
    extent: usize,
    bytes: Vec<u8>,
    written: Vec<bool>,
}

fn check(address: u64, bytes: u32, extent: usize, lane: usize, what: &str) -> Result<usize, Wrong> {
    if !address.is_multiple_of(bytes as u64) {
        let detail = format!("{bytes} bytes at {what} address {address:#x}");
        return Err((lane, FaultKind::Misaligned, detail));
    }
    match usize::try_from(address) {
        Ok(at) if at.checked_add(bytes as usize).is_some_and(|end| end <= extent) => Ok(at),
        _ => Err((
            lane,
            FaultKind::OutOfBounds,
            format!("{bytes} bytes at {what} address {address:#x}, of which there are {extent}"),
        )),
    }
}

fn gather(from: &[u8]) -> Wide {
    let mut wide = [0; 4];
    for (at, &byte) in from.iter().enumerate() {
        wide[at / 4] |= (byte as u32) << (8 * (at % 4));
    }
    wide
}

impl LocalMemory {
    /// Begins a block with `extent` bytes for each thread.
    pub(super) fn reset(&mut self, extent: usize) {
        self.extent = extent;
        self.bytes.clear();
        self.bytes.resize(extent * WARP, 0);
        self.written.clear();
        self.written.resize(extent * WARP, false);
    }

    pub(super) fn load(
        &self,
        mask: u32,
        addresses: &Lanes<u64>,
        bytes: u32,
        out: &mut Lanes<Wide>,
    ) -> Result<(), Wrong> {
        for lane in lanes(mask) {
            let at = check(addresses[lane], bytes, self.extent, lane, "local")?;
            let range = lane * self.extent + at..lane * self.extent + at + bytes as usize;
            if let Some(hole) = self.written[range.clone()].iter().position(|&written| !written) {
                let detail = format!("local byte {:#x}", at + hole);
                return Err((lane, FaultKind::Uninitialised, detail));
            }
            out[lane] = gather(&self.bytes[range]);
        }
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        mask: u32,
        addresses: &Lanes<u64>,
        bytes: u32,
        values: &Lanes<Wide>,
    ) -> Result<(), Wrong> {
        for lane in lanes(mask) {
            let at = check(addresses[lane], bytes, self.extent, lane, "local")?;
            for byte in 0..bytes as usize {
                let to = lane * self.extent + at + byte;
                self.bytes[to] = (values[lane][byte / 4] >> (8 * (byte % 4))) as u8;
                self.written[to] = true;
            }
        }
        Ok(())
    }
}

/// A load from memory that is fixed for a launch: parameters and constants.
pub(super) fn load_fixed(
    memory: &[u8],
    what: &str,
    mask: u32,
    addresses: &Lanes<u64>,
    bytes: u32,
    out: &mut Lanes<Wide>,
) -> Result<(), Wrong> {
    for lane in lanes(mask) {
        let at = check(addresses[lane], bytes, memory.len(), lane, what)?;
        out[lane] = gather(&memory[at..at + bytes as usize]);
    }
    Ok(())
}
