//! Work memory that survives from call to call: nothing is allocated in the steady state.

use std::cell::RefCell;
use std::thread::LocalKey;

/// A cache line, which is also the widest vector: memory made of it starts at its boundary.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

// SAFETY: sixteen f32, of which all-zero bits are a value.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: 64 bytes at an alignment of 64 leave no padding, and any bits are f32.
unsafe impl bytemuck::Pod for Line {}

type Memory = RefCell<Vec<Line>>;

thread_local! {
    static LOCAL: Memory = const { RefCell::new(Vec::new()) };
    static FACTOR: Memory = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with `len` numbers of memory of this thread, aligned to 64 bytes; contents are
/// arbitrary.
pub fn with_local<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with(&LOCAL, len, f)
}

/// The same for a factor of a product, inside of [`with_local`] or not.
pub fn with_factor<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with(&FACTOR, len, f)
}

fn with<R>(place: &'static LocalKey<Memory>, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    // Taken out for the time of the call: a call inside finds an empty cell and brings its own
    // memory, instead of sharing this.
    let mut memory = place.with(|cell| std::mem::take(&mut *cell.borrow_mut()));
    let lines = len.div_ceil(16);
    if memory.len() < lines {
        memory.resize(lines, Line([0.0; 16]));
    }
    let result = f(&mut bytemuck::cast_slice_mut(&mut memory[..lines])[..len]);
    place.with(|cell| {
        let mut kept = cell.borrow_mut();
        if kept.len() < memory.len() {
            *kept = memory;
        }
    });
    result
}

/// Memory for partial sums of tasks, owned by the device.
#[derive(Default)]
pub struct Partials {
    floats: Vec<f32>,
    doubles: Vec<f64>,
    exponentials: Vec<f32>,
}

impl Partials {
    /// `len` numbers with arbitrary contents.
    pub fn floats(&mut self, len: usize) -> &mut [f32] {
        if self.floats.len() < len {
            self.floats.resize(len, 0.0);
        }
        &mut self.floats[..len]
    }

    /// `len` numbers with arbitrary contents.
    pub fn doubles(&mut self, len: usize) -> &mut [f64] {
        if self.doubles.len() < len {
            self.doubles.resize(len, 0.0);
        }
        &mut self.doubles[..len]
    }

    /// Where the exponentials of a block of tokens are kept between calls.
    pub fn exponentials(&mut self) -> &mut Vec<f32> {
        &mut self.exponentials
    }
}
