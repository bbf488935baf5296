//! A libcuda whose GPU is the virtual one: the program loads it in place of NVIDIA's, and so the
//! whole way from a command to a kernel's parameters can be tested where there is no GPU.
//!
//! Only what the program calls is here, with the names and types of `cuda.h`. Every call checks
//! what it is given; streams are as eager as can be, except that what is captured runs when its
//! graph is launched. The variable `VIRTUAL_LIBCUDA` holds what
//! differs from a healthy machine, as `key=number` separated by commas:
//!
//! | key | meaning |
//! |---|---|
//! | `version` | CUDA version of the driver, 1000 major + 10 minor |
//! | `devices` | GPUs |
//! | `capability` | of the GPUs, 10 major + minor |
//! | `memory` | bytes of each |
//! | `init`, `compile`, `capture`, `instantiate` | result of the call |
//! | `fault` | the launch, directly or in a graph, counted from 1, whose kernel leaves its memory |

mod cublaslt;
mod device;
mod graph;
mod module;
mod nvtx;
mod state;
mod transfer;
mod work;

use std::ffi::c_int;
use std::fs::OpenOptions;
use std::io::Write;

use state::{Error, State, state};

/// Writes a line to the file that `VIRTUAL_CALLS` names: what a test wants to see the order of.
fn note(line: std::fmt::Arguments<'_>) {
    if let Some(path) = std::env::var_os("VIRTUAL_CALLS") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// Runs a call: an error becomes its code.
fn call(run: impl FnOnce(&mut State) -> Result<(), Error>) -> u32 {
    let mut state = match state().lock() {
        Ok(state) => state,
        // A call before this one panicked, which a library in C cannot tell in another way.
        Err(_) => return 999,
    };
    match run(&mut state) {
        Ok(()) => 0,
        Err(Error(code)) => code,
    }
}

/// Runs a call on the current context; after a fault there is none that does not return it.
fn call_in_context(run: impl FnOnce(&mut State) -> Result<(), Error>) -> u32 {
    call(|state| {
        state.in_context()?;
        run(state)
    })
}

/// Writes a result.
///
/// # Safety
/// `to` is null or valid for a write.
unsafe fn give<T>(to: *mut T, value: T) -> Result<(), Error> {
    if to.is_null() {
        return Err(Error::INVALID_VALUE);
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { to.write(value) };
    Ok(())
}

/// A number of a GPU, if there is one.
fn device(state: &State, device: c_int) -> Result<(), Error> {
    let known = u64::try_from(device).is_ok_and(|device| device < state.setting("devices", 1));
    if known { Ok(()) } else { Err(Error(101)) }
}
