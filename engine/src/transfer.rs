//! Copies between the host and a device that nobody waits for, and the host's memory for them.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Memory of the host that a device copies from or to: page-locked where that lets it do so while
/// it computes. Aligned to 8 bytes.
pub struct HostBlock {
    memory: Memory,
    bytes: usize,
}

enum Memory {
    Plain(Vec<u64>),
    PageLocked {
        start: NonNull<u8>,
        /// Gives it back.
        _owner: Box<dyn Any + Send>,
    },
}

// SAFETY: page-locked memory is ordinary memory for the host; the block alone has its address, and
// its owner may be dropped on any thread.
unsafe impl Send for HostBlock {}

impl HostBlock {
    /// Ordinary memory, zeroed.
    pub fn plain(bytes: usize) -> Self {
        Self { memory: Memory::Plain(vec![0; bytes.div_ceil(8)]), bytes }
    }

    /// Page-locked memory, which is given back when `owner` is dropped.
    ///
    /// # Safety
    /// `start` is aligned to 8 bytes; `bytes` bytes from there are initialised, live as long as
    /// `owner`, and are touched by nobody else.
    pub unsafe fn page_locked(
        start: NonNull<u8>,
        bytes: usize,
        owner: Box<dyn Any + Send>,
    ) -> Self {
        Self { memory: Memory::PageLocked { start, _owner: owner }, bytes }
    }
}

impl std::fmt::Debug for HostBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostBlock").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Deref for HostBlock {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Plain(words) => &bytemuck::cast_slice(words)[..self.bytes],
            // SAFETY: the promise of whoever made the block.
            Memory::PageLocked { start, .. } => unsafe {
                std::slice::from_raw_parts(start.as_ptr(), self.bytes)
            },
        }
    }
}

impl DerefMut for HostBlock {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Plain(words) => &mut bytemuck::cast_slice_mut(words)[..self.bytes],
            // SAFETY: the promise of whoever made the block, which is borrowed mutably.
            Memory::PageLocked { start, .. } => unsafe {
                std::slice::from_raw_parts_mut(start.as_ptr(), self.bytes)
            },
        }
    }
}

/// A copy that may be on its way, with the block that it reads or writes. Dropping it waits for it.
pub struct Transfer {
    // Dropped first: it waits.
    moved: Option<Box<dyn Any + Send>>,
    block: HostBlock,
}

impl Transfer {
    /// One that is over.
    pub fn over(block: HostBlock) -> Self {
        Self { moved: None, block }
    }

    /// One whose end `moved` knows, and waits for when it is dropped.
    pub fn begun(block: HostBlock, moved: Box<dyn Any + Send>) -> Self {
        Self { moved: Some(moved), block }
    }

    /// Whether nothing has to be waited for.
    pub fn is_over(&self) -> bool {
        self.moved.is_none()
    }

    /// What the driver knows of its end, if it is a `T`.
    pub fn moved<T: 'static>(&self) -> Option<&T> {
        self.moved.as_ref()?.downcast_ref()
    }

    /// Waits for it, and gives the block back.
    pub fn into_block(self) -> HostBlock {
        drop(self.moved);
        self.block
    }
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer").field("over", &self.is_over()).finish_non_exhaustive()
    }
}
