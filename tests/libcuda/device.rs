//! The driver, its GPUs, contexts, streams and events.

use std::ffi::{c_char, c_int, c_uint};
use std::time::Instant;

use crate::state::{CONTEXT, CURRENT, Error, Event};
use crate::{call, call_in_context, device, give, note};

// SAFETY of every function of this library: its name and type are those of `cuda.h`, which no
// other part of a process defines while this stands in for NVIDIA's; pointers are valid as that
// documentation asks for.

#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: c_uint) -> u32 {
    call(|state| {
        if flags != 0 {
            return Err(Error::INVALID_VALUE);
        }
        state.may_fail("init")?;
        if state.setting("devices", 1) == 0 {
            return Err(Error(100));
        }
        state.initialised = true;
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> u32 {
    // SAFETY: see above.
    call(|state| unsafe { give(version, state.setting("version", 12040) as c_int) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> u32 {
    // SAFETY: see above.
    call(|state| unsafe { give(count, state.setting("devices", 1) as c_int) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(to: *mut c_int, ordinal: c_int) -> u32 {
    call(|state| {
        device(state, ordinal)?;
        // SAFETY: see above.
        unsafe { give(to, ordinal) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(to: *mut c_char, len: c_int, ordinal: c_int) -> u32 {
    call(|state| {
        device(state, ordinal)?;
        let name = c"Virtual GPU".to_bytes_with_nul();
        if (len as usize) < name.len() {
            return Err(Error::INVALID_VALUE);
        }
        // SAFETY: see above; the name fits `len` bytes.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), to.cast(), name.len()) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceTotalMem_v2(to: *mut usize, ordinal: c_int) -> u32 {
    call(|state| {
        device(state, ordinal)?;
        // SAFETY: see above.
        unsafe { give(to, state.setting("memory", 1 << 30) as usize) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetAttribute(to: *mut c_int, which: c_uint, ordinal: c_int) -> u32 {
    call(|state| {
        device(state, ordinal)?;
        let capability = state.setting("capability", 80) as c_int;
        let value = match which {
            16 => 1,
            75 => capability / 10,
            76 => capability % 10,
            97 => 163 << 10,
            _ => return Err(Error::INVALID_VALUE),
        };
        // SAFETY: see above.
        unsafe { give(to, value) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(to: *mut usize, ordinal: c_int) -> u32 {
    call(|state| {
        device(state, ordinal)?;
        state.contexts += 1;
        // SAFETY: see above.
        unsafe { give(to, CONTEXT) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(ordinal: c_int) -> u32 {
    call(|state| {
        device(state, ordinal)?;
        state.contexts = state.contexts.checked_sub(1).ok_or(Error::INVALID_CONTEXT)?;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(context: usize) -> u32 {
    call(|_| {
        if context != CONTEXT {
            return Err(Error::INVALID_CONTEXT);
        }
        CURRENT.set(true);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(to: *mut usize, flags: c_uint) -> u32 {
    call_in_context(|state| {
        if flags != 1 {
            return Err(Error::INVALID_VALUE);
        }
        let stream = state.handle();
        state.streams.insert(stream);
        // SAFETY: see above.
        unsafe { give(to, stream) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(stream: usize) -> u32 {
    call_in_context(|state| {
        state.not_captured(stream)?;
        state.streams.remove(&stream).then_some(()).ok_or(Error::INVALID_HANDLE)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: usize) -> u32 {
    call_in_context(|state| {
        note(format_args!("synchronize"));
        state.stream(stream)?;
        state.not_captured(stream)?;
        state.notice()
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream: usize, event: usize, flags: c_uint) -> u32 {
    call_in_context(|state| {
        if flags != 0 {
            return Err(Error::INVALID_VALUE);
        }
        state.stream(stream)?;
        state.not_captured(stream)?;
        state.event(event)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventCreate(to: *mut usize, flags: c_uint) -> u32 {
    call_in_context(|state| {
        // With times, or `CU_EVENT_DISABLE_TIMING`.
        if flags != 0 && flags != 2 {
            return Err(Error::INVALID_VALUE);
        }
        let event = state.handle();
        state.events.insert(event, Event { timed: flags == 0, reached: None });
        // SAFETY: see above.
        unsafe { give(to, event) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(event: usize) -> u32 {
    call_in_context(|state| state.events.remove(&event).map(drop).ok_or(Error::INVALID_HANDLE))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(event: usize, stream: usize) -> u32 {
    call_in_context(|state| {
        note(format_args!("record {event}"));
        state.event(event)?;
        state.stream(stream)?;
        state.not_captured(stream)?;
        if let Some(event) = state.events.get_mut(&event) {
            event.reached = Some(Instant::now());
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime(to: *mut f32, start: usize, end: usize) -> u32 {
    call_in_context(|state| {
        let reached = |event: usize| {
            let event = state.events.get(&event).ok_or(Error::INVALID_HANDLE)?;
            // Without times, or never recorded.
            event.reached.filter(|_| event.timed).ok_or(Error::INVALID_HANDLE)
        };
        let (start, end) = (reached(start)?, reached(end)?);
        // SAFETY: see above.
        unsafe { give(to, end.duration_since(start).as_secs_f32() * 1e3) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(event: usize) -> u32 {
    call_in_context(|state| {
        note(format_args!("wait {event}"));
        state.event(event)?;
        state.notice()
    })
}
