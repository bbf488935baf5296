//! Memory and copies.

use std::ffi::{c_uchar, c_void};

use crate::state::{Error, State};
use crate::work::Work;
use crate::{call_in_context, give, note};

/// Block of page-locked memory that holds `bytes` from `at` on.
fn pinned(state: &State, at: usize, bytes: usize) -> Result<(), Error> {
    // The real driver takes any memory, and then waits for the copy: not what is meant here.
    let mut blocks = state.pinned.iter();
    let held = blocks
        .any(|(start, block)| at >= *start && at.saturating_add(bytes) <= start + block.len());
    if held { Ok(()) } else { Err(Error::INVALID_VALUE) }
}

fn invalid<E>(_: E) -> Error {
    Error::INVALID_VALUE
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> u32 {
    call_in_context(|state| {
        let memory = state.setting("memory", 1 << 30) as usize;
        // SAFETY: two results, valid as the documentation asks for.
        unsafe {
            give(free, memory - state.blocks.values().sum::<usize>())?;
            give(total, memory)
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAlloc_v2(to: *mut u64, bytes: usize) -> u32 {
    call_in_context(|state| {
        state.not_capturing()?;
        if bytes == 0 {
            return Err(Error::INVALID_VALUE);
        }
        let memory = state.setting("memory", 1 << 30) as usize;
        if state.blocks.values().sum::<usize>().saturating_add(bytes) > memory {
            return Err(Error::OUT_OF_MEMORY);
        }
        let address = state.gpu.alloc(bytes).map_err(|_| Error::OUT_OF_MEMORY)?;
        state.blocks.insert(address, bytes);
        // SAFETY: a result, valid as the documentation asks for.
        unsafe { give(to, address) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: u64) -> u32 {
    call_in_context(|state| {
        state.not_capturing()?;
        state.notice()?;
        state.blocks.remove(&address).ok_or(Error::INVALID_VALUE)?;
        state.gpu.free(address).map_err(invalid)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocHost_v2(to: *mut *mut c_void, bytes: usize) -> u32 {
    call_in_context(|state| {
        state.not_capturing()?;
        let mut block = vec![0xa5_u8; bytes].into_boxed_slice();
        let address = block.as_mut_ptr();
        state.pinned.insert(address as usize, block);
        // SAFETY: a result, valid as the documentation asks for.
        unsafe { give(to, address.cast()) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeHost(block: usize) -> u32 {
    call_in_context(|state| {
        state.not_capturing()?;
        state.pinned.remove(&block).map(drop).ok_or(Error::INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: *const u8, bytes: usize, stream: usize) -> u32 {
    call_in_context(|state| {
        note(format_args!("to_device"));
        state.stream(stream)?;
        state.not_captured(stream)?;
        pinned(state, from as usize, bytes)?;
        // SAFETY: inside a block of this library, as seen above.
        let values = unsafe { std::slice::from_raw_parts(from, bytes) };
        state.gpu.write(to, values).map_err(invalid)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut u8, from: u64, bytes: usize, stream: usize) -> u32 {
    call_in_context(|state| {
        note(format_args!("to_host"));
        state.stream(stream)?;
        state.not_captured(stream)?;
        pinned(state, to as usize, bytes)?;
        // SAFETY: inside a block of this library, as seen above.
        let values = unsafe { std::slice::from_raw_parts_mut(to, bytes) };
        state.gpu.read(from, values).map_err(invalid)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: usize) -> u32 {
    call_in_context(|state| state.put(stream, Work::Copy { from, to, bytes }))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8Async(at: u64, value: c_uchar, bytes: usize, stream: usize) -> u32 {
    call_in_context(|state| {
        if value != 0 {
            return Err(Error::INVALID_VALUE);
        }
        state.put(stream, Work::Zero { at, bytes })
    })
}
