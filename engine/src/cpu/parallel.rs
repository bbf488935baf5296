//! A mutable slice that tasks share, each writing its own part.

use std::marker::PhantomData;
use std::ops::Range;

/// Hands disjoint parts of one slice to tasks whose parts interleave, which
/// `par_chunks_mut` cannot express.
#[derive(Clone, Copy)]
pub struct Shared<'a, T> {
    first: *mut T,
    len: usize,
    _owner: PhantomData<&'a mut [T]>,
}

// SAFETY: the pointer is only turned into references by the unsafe methods, whose callers
// promise disjoint parts.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// Borrows `slice` for as long as parts of it are in use.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { first: slice.as_mut_ptr(), len: slice.len(), _owner: PhantomData }
    }

    /// Elements `range`.
    ///
    /// # Panics
    /// If the range ends beyond the slice.
    ///
    /// # Safety
    /// No other reference to an element of `range` may live at the same time.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: extent checked above; aliasing is the caller's promise; alignment is that of
        // the slice; host memory, no stream.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(range.start), range.len()) }
    }

    /// Address of element `index`, for strided matrices.
    ///
    /// # Panics
    /// If `index` lies beyond the slice.
    pub fn address(&self, index: usize) -> *mut T {
        assert!(index <= self.len);
        // SAFETY: inside the slice or one past its end.
        unsafe { self.first.add(index) }
    }
}
