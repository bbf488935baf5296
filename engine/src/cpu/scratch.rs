//! Work memory that survives from call to call: nothing is allocated in the steady state.

use std::cell::RefCell;

thread_local! {
    static LOCAL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with `len` numbers of memory of this thread; contents are arbitrary.
pub fn with_local<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    // Taken out for the time of the call: work that a thread steals while it waits inside
    // finds an empty cell and brings its own memory, instead of sharing this.
    let mut memory = LOCAL.with(|cell| std::mem::take(&mut *cell.borrow_mut()));
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
    let result = f(&mut memory[..len]);
    LOCAL.with(|cell| {
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
    logits: Vec<f32>,
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

    /// Where the logits of a block of tokens are kept between calls.
    pub fn logits(&mut self) -> &mut Vec<f32> {
        &mut self.logits
    }
}
