//! Exact counts of what a launch did. Equal for equal launches, whatever the number of threads.

use std::ops::AddAssign;

/// Counts of one launch, summed over its blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Warp instructions issued.
    pub warp_instructions: u64,
    /// Lane instructions: active lanes summed over warp instructions (a warp-wide `mma` counts
    /// as one of each of its 32 lanes).
    pub lane_instructions: u64,
    /// Warp instructions by class: integer and logic, moves and conversions.
    pub integer: u64,
    /// f32 arithmetic.
    pub float32: u64,
    /// f64 arithmetic.
    pub float64: u64,
    /// Approximate functions: ex2, lg2, rcp, rsqrt, sqrt, sin, cos, tanh.
    pub special: u64,
    /// Branches and other control flow.
    pub control: u64,
    /// Loads, stores, atomics and asynchronous copies, of any space.
    pub memory: u64,
    /// Shuffles and votes.
    pub exchange: u64,
    /// Matrix instructions (mma, ldmatrix aside).
    pub matrix: u64,
    /// f32 operations of lanes (an fma is two).
    pub flops: u64,
    /// Operations of matrix instructions (a multiply-add is two).
    pub tensor_flops: u64,
    /// Bytes that lanes asked to read from global memory.
    pub global_read_bytes: u64,
    /// Bytes that lanes asked to write to global memory.
    pub global_written_bytes: u64,
    /// 32-byte sectors touched by reads, per warp instruction.
    pub global_read_sectors: u64,
    /// 32-byte sectors touched by writes, per warp instruction.
    pub global_written_sectors: u64,
    /// 32-byte sectors that the launch read, each counted once.
    pub distinct_read_sectors: u64,
    /// 32-byte sectors that the launch wrote, each counted once.
    pub distinct_written_sectors: u64,
    /// Accesses to shared memory, in warp instructions.
    pub shared_accesses: u64,
    /// Passes over the 32 banks that they took beyond the least possible for their width.
    pub shared_bank_conflicts: u64,
    /// Barriers that warps arrived at.
    pub barriers: u64,
}

impl Counters {
    /// Share of the bytes of the touched sectors that were asked for, in percent (may pass 100
    /// where lanes read the same bytes). 100 where nothing was accessed.
    pub fn coalescing_percent(&self) -> f64 {
        let sectors = self.global_read_sectors + self.global_written_sectors;
        if sectors == 0 {
            return 100.0;
        }
        100.0 * (self.global_read_bytes + self.global_written_bytes) as f64 / (32 * sectors) as f64
    }

    /// Bytes that device memory moves where a cache holds all that the launch touches, and
    /// nothing from before it: each sector that it reads comes once, each that it writes goes once.
    pub fn distinct_bytes(&self) -> u64 {
        32 * (self.distinct_read_sectors + self.distinct_written_sectors)
    }

    /// Bytes of the sectors that were moved, as if there were no cache.
    pub fn moved_bytes(&self) -> u64 {
        32 * (self.global_read_sectors + self.global_written_sectors)
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        let Self {
            warp_instructions,
            lane_instructions,
            integer,
            float32,
            float64,
            special,
            control,
            memory,
            exchange,
            matrix,
            flops,
            tensor_flops,
            global_read_bytes,
            global_written_bytes,
            global_read_sectors,
            global_written_sectors,
            distinct_read_sectors,
            distinct_written_sectors,
            shared_accesses,
            shared_bank_conflicts,
            barriers,
        } = other;
        self.warp_instructions += warp_instructions;
        self.lane_instructions += lane_instructions;
        self.integer += integer;
        self.float32 += float32;
        self.float64 += float64;
        self.special += special;
        self.control += control;
        self.memory += memory;
        self.exchange += exchange;
        self.matrix += matrix;
        self.flops += flops;
        self.tensor_flops += tensor_flops;
        self.global_read_bytes += global_read_bytes;
        self.global_written_bytes += global_written_bytes;
        self.global_read_sectors += global_read_sectors;
        self.global_written_sectors += global_written_sectors;
        self.distinct_read_sectors += distinct_read_sectors;
        self.distinct_written_sectors += distinct_written_sectors;
        self.shared_accesses += shared_accesses;
        self.shared_bank_conflicts += shared_bank_conflicts;
        self.barriers += barriers;
    }
}
