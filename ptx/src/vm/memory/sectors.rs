//! Counting the 32-byte sectors of global memory that a warp instruction touches.

/// Distinct sectors of one warp instruction.
pub(super) struct Sectors {
    seen: [u64; 32],
    count: usize,
    ascending: bool,
}

impl Sectors {
    pub fn new() -> Self {
        Self { seen: [0; 32], count: 0, ascending: true }
    }

    /// Adds the sector of an address; at most 32 calls.
    #[inline]
    pub fn add(&mut self, address: u64) {
        let sector = address >> 5;
        if self.count > 0 {
            let last = self.seen[self.count - 1];
            if sector == last {
                return;
            }
            self.ascending &= last < sector;
        }
        self.seen[self.count] = sector;
        self.count += 1;
    }

    /// How many there are.
    #[inline]
    pub fn count(mut self) -> u64 {
        if self.ascending {
            return self.count as u64;
        }
        let seen = &mut self.seen[..self.count];
        seen.sort_unstable();
        1 + seen.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64
    }
}
