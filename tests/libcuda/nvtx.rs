//! A libnvToolsExt in the same file. It writes what begins and ends, a line each, to the file that
//! `VIRTUAL_NVTX` names.

use std::ffi::{CStr, c_char, c_int};
use std::fs::OpenOptions;
use std::io::Write;

fn write(line: &str) -> c_int {
    if let Some(path) = std::env::var_os("VIRTUAL_NVTX") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
    0
}

// SAFETY of both functions: their names and types are those of `nvToolsExt.h`.

#[unsafe(no_mangle)]
unsafe extern "C" fn nvtxRangePushA(name: *const c_char) -> c_int {
    // SAFETY: a text, valid as the documentation asks for.
    write(&format!("+{}", unsafe { CStr::from_ptr(name) }.to_string_lossy()))
}

#[unsafe(no_mangle)]
extern "C" fn nvtxRangePop() -> c_int {
    write("-")
}
