//! Raw, typed, reference-counted ranges of device memory.

use std::ops::Range;
use std::sync::Arc;

use crate::{DType, Error, Result};

/// Identity of an opened device; buffers of one device are refused by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceId(pub(crate) u64);

/// A block of device memory; given back when the last [`Buffer`] on it is dropped.
pub struct Allocation {
    pub(crate) address: usize,
    pub(crate) bytes: usize,
    pub(crate) device: DeviceId,
    pub(crate) release: Option<Box<dyn FnOnce(usize, usize) + Send + Sync>>,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release(self.address, self.bytes);
        }
    }
}

/// A typed range of an [`Allocation`].
///
/// Cloning and slicing share the memory. Contents are only touched by a [`crate::Device`],
/// which takes `&mut self` for every operation and refuses overlapping outputs, so two
/// handles on the same memory cannot race.
#[derive(Clone)]
pub struct Buffer {
    allocation: Arc<Allocation>,
    byte_offset: usize,
    len: usize,
    dtype: DType,
}

impl Buffer {
    pub(crate) fn new(allocation: Arc<Allocation>, dtype: DType, len: usize) -> Self {
        debug_assert!(len * dtype.size() <= allocation.bytes);
        Self { allocation, byte_offset: 0, len, dtype }
    }

    /// Elements in the range.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True for a range of no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Device that owns the memory.
    pub fn device(&self) -> DeviceId {
        self.allocation.device
    }

    /// Elements `range` of this buffer, on the same memory.
    ///
    /// # Errors
    /// When the range ends beyond the buffer.
    pub fn slice(&self, range: Range<usize>) -> Result<Buffer> {
        if range.start > range.end || range.end > self.len {
            return Err(Error::Value {
                op: "slice",
                detail: format!("range {range:?} of a buffer of {} elements", self.len),
            });
        }
        Ok(Buffer {
            allocation: self.allocation.clone(),
            byte_offset: self.byte_offset + range.start * self.dtype.size(),
            len: range.end - range.start,
            dtype: self.dtype,
        })
    }

    /// `len` elements of type `dtype` that start `byte_offset` bytes into this buffer.
    /// The planner of the tape lays intermediate values into one arena with this.
    ///
    /// # Errors
    /// When the range ends beyond the buffer or its start is not aligned for `dtype`.
    pub fn reinterpret(&self, byte_offset: usize, dtype: DType, len: usize) -> Result<Buffer> {
        let end = len.checked_mul(dtype.size()).and_then(|b| b.checked_add(byte_offset));
        if !byte_offset.is_multiple_of(dtype.size()) || end.is_none_or(|end| end > self.byte_len())
        {
            return Err(Error::Value {
                op: "reinterpret",
                detail: format!(
                    "{len} elements of {dtype} at byte {byte_offset} do not fit {} bytes",
                    self.byte_len()
                ),
            });
        }
        Ok(Buffer {
            allocation: self.allocation.clone(),
            byte_offset: self.byte_offset + byte_offset,
            len,
            dtype,
        })
    }

    /// Bytes in the range.
    pub fn byte_len(&self) -> usize {
        self.len * self.dtype.size()
    }

    /// Address of the first element in the device's address space.
    pub fn address(&self) -> usize {
        self.allocation.address + self.byte_offset
    }

    /// Whether two ranges share at least one byte.
    pub fn overlaps(&self, other: &Buffer) -> bool {
        let (a, b) = (self.address(), other.address());
        self.device() == other.device()
            && !self.is_empty()
            && !other.is_empty()
            && a < b + other.byte_len()
            && b < a + self.byte_len()
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} x {})", self.len, self.dtype)
    }
}
