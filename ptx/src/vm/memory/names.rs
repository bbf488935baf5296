//! Who accessed each 2 bytes of global memory, for the report of a race between blocks.

use std::collections::HashMap;

use super::allocation::CHUNK;
use crate::vm::access::{Site, WARP};

/// Halfwords of a chunk.
const PLACES: usize = CHUNK / 2;

/// Last writers and first readers, chunk by chunk.
#[derive(Default)]
pub(super) struct Names {
    chunks: HashMap<u64, Box<[[u64; PLACES]; 2]>>,
}

impl Names {
    /// Notes an access of `bytes` bytes.
    pub fn note(&mut self, site: Site, lane: usize, address: u64, bytes: u32, wrote: bool) {
        let name = 1 << 63
            | site.block << 35
            | ((site.warp as u64 * WARP as u64 + lane as u64) & 0x7ff) << 24
            | (site.pc as u64).min(0xff_ffff);
        let chunk =
            self.chunks.entry(address / CHUNK as u64).or_insert_with(|| Box::new([[0; PLACES]; 2]));
        let first = address as usize % CHUNK / 2;
        let places = &mut chunk[wrote as usize][first..first + (bytes as usize).div_ceil(2)];
        for place in places {
            if wrote || *place == 0 {
                *place = name;
            }
        }
    }

    /// The last writer or the first reader of a byte, with its lane.
    pub fn find(&self, address: u64, wrote: bool) -> Option<(Site, u32)> {
        let chunk = self.chunks.get(&(address / CHUNK as u64))?;
        let name = chunk[wrote as usize][address as usize % CHUNK / 2];
        let thread = (name >> 24 & 0x7ff) as u32;
        let site = Site {
            block: name >> 35 & 0xfff_ffff,
            warp: thread / WARP as u32,
            pc: name as u32 & 0xff_ffff,
        };
        (name != 0).then_some((site, thread % WARP as u32))
    }
}
