//! Named ranges of the host's work for NVIDIA's profilers (NVTX), which show beside them what the
//! GPU was asked for meanwhile. Nothing happens until [`enable`] has found the library.

use std::ffi::{CStr, c_char, c_int};
use std::marker::PhantomData;
use std::sync::OnceLock;

use crate::gpu::cuda::NVTX;

/// The functions that are called; the library is never unloaded.
struct Functions {
    push: unsafe extern "C" fn(*const c_char) -> c_int,
    pop: unsafe extern "C" fn() -> c_int,
}

static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();

/// Looks for the library; from here on ranges are told to it. False where there is none, and
/// ranges go on being nothing.
pub fn enable() -> bool {
    FUNCTIONS.get_or_init(find).is_some()
}

fn find() -> Option<Functions> {
    let library = NVTX.iter().find_map(|file| {
        // SAFETY: runs the initialisers of NVIDIA's library, which have no preconditions.
        unsafe { libloading::Library::new(*file) }.ok()
    })?;
    // SAFETY: the types are those of the declarations in nvToolsExt.h; the library stays loaded.
    let functions = unsafe {
        let push = library.get(b"nvtxRangePushA\0").ok().map(|found| *found);
        let pop = library.get(b"nvtxRangePop\0").ok().map(|found| *found);
        push.zip(pop).map(|(push, pop)| Functions { push, pop })
    };
    std::mem::forget(library);
    functions
}

/// A range, which ends when this is dropped, on the thread where it began.
#[must_use]
pub struct Range {
    functions: Option<&'static Functions>,
    _of_this_thread: PhantomData<*const ()>,
}

/// Begins a range on this thread, inside of those that have not ended.
pub fn range(name: &CStr) -> Range {
    let functions = FUNCTIONS.get().and_then(Option::as_ref);
    if let Some(functions) = functions {
        // SAFETY: a text that ends with a zero byte, which is copied.
        unsafe { (functions.push)(name.as_ptr()) };
    }
    Range { functions, _of_this_thread: PhantomData }
}

impl Drop for Range {
    fn drop(&mut self) {
        if let Some(functions) = self.functions {
            // SAFETY: takes nothing; ends the range that this thread began last.
            unsafe { (functions.pop)() };
        }
    }
}
