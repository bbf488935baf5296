//! Groups of 16 bytes of global memory that several blocks share, byte by byte, and every group
//! that an atomic touched.

use std::collections::HashMap;

use super::owners::{Clash, Stamp};

/// Stands for several blocks.
const MANY: u64 = u64::MAX;

/// What a block does to a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    /// Read and write that is no race with its like.
    Atomic,
}

/// Blocks of one byte, each plus one; 0 for none.
#[derive(Clone, Copy, Default)]
struct Byte {
    writer: u64,
    /// The writers did so atomically.
    atomic: bool,
    reader: u64,
}

/// Split groups by the address of their first byte.
#[derive(Default)]
pub(super) struct Splits {
    groups: HashMap<u64, Box<[Byte; 16]>>,
}

impl Splits {
    /// Puts a group in whose stamps were these.
    pub fn insert(&mut self, group: u64, (writers, readers): (Stamp, Stamp)) {
        let mut bytes = [Byte::default(); 16];
        for (i, byte) in bytes.iter_mut().enumerate() {
            if writers.single >> i & 1 == 1 {
                byte.writer = writers.owner;
            }
            if readers.single >> i & 1 == 1 {
                byte.reader = readers.owner;
            }
            if readers.many >> i & 1 == 1 {
                byte.reader = MANY;
            }
        }
        self.groups.insert(group, Box::new(bytes));
    }

    /// Whether a group was read, and whether it was written.
    pub fn accessed(&self, group: u64) -> (bool, bool) {
        let Some(bytes) = self.groups.get(&group) else { return (false, false) };
        (
            bytes.iter().any(|byte| byte.reader != 0 || byte.atomic),
            bytes.iter().any(|byte| byte.writer != 0),
        )
    }

    /// Notes an access to a group that is in, and says what it collides with.
    pub fn access(&mut self, group: u64, block: u64, mask: u16, access: Access) -> Option<Clash> {
        let me = block + 1;
        let bytes = self.groups.entry(group).or_default();
        let mut found = None;
        for (i, byte) in bytes.iter_mut().enumerate().filter(|(i, _)| mask >> i & 1 == 1) {
            let mut clash = |other: u64, wrote| {
                let block = if other == MANY { 0 } else { other - 1 };
                found.get_or_insert(Clash { byte: i as u32, block, wrote });
            };
            let both_atomic = access == Access::Atomic && byte.atomic;
            if byte.writer != 0 && byte.writer != me && !both_atomic {
                clash(byte.writer, true);
            }
            if access != Access::Read && byte.reader != 0 && byte.reader != me {
                clash(byte.reader, false);
            }
            match access {
                Access::Read => {
                    byte.reader = if byte.reader == 0 || byte.reader == me { me } else { MANY };
                }
                Access::Write => {
                    byte.writer = me;
                    byte.atomic = false;
                }
                Access::Atomic if byte.writer == 0 => {
                    byte.writer = me;
                    byte.atomic = true;
                }
                Access::Atomic if byte.writer != me => byte.writer = MANY,
                Access::Atomic => {}
            }
        }
        found
    }
}
