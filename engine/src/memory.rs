//! How much memory a device has, and how much of it is taken.

pub use ltm_ptx::vm::MemoryUse;

/// Sizes of allocations on a GPU are multiples of this many bytes.
pub const GPU_GRANULE: usize = 256;

/// Memory of a device, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    /// All of it.
    pub total: u64,
    /// What can still be allocated.
    pub free: u64,
}

impl MemoryInfo {
    /// The same memory where no more than `limit` bytes of it may be used.
    #[must_use]
    pub fn limited(self, limit: u64) -> Self {
        Self { total: self.total.min(limit), free: self.free.min(limit) }
    }
}

/// What a device keeps for its operations beside their arguments. See
/// [`crate::Device::rehearse`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Bytes of each block of scratch memory, by its number.
    pub scratch: Vec<usize>,
    /// Bytes of tables of angles, as allocated.
    pub tables: usize,
}

/// How a device takes memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// From the host's allocator, scratch memory included, as it is needed.
    Cpu,
    /// In blocks whose number and sizes are functions of the shapes.
    Gpu,
}
