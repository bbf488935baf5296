//! Captures and graphs.

use std::ffi::{c_uint, c_ulonglong};

use crate::state::Error;
use crate::work::Capture;
use crate::{call_in_context, give, note};

#[unsafe(no_mangle)]
extern "C" fn cuStreamBeginCapture_v2(stream: usize, mode: c_uint) -> u32 {
    call_in_context(|state| {
        state.stream(stream)?;
        state.may_fail("capture")?;
        // The program's own mode: thread-local.
        if mode != 1 || state.capture.is_some() {
            return Err(Error::INVALID_VALUE);
        }
        let thread = std::thread::current().id();
        state.capture = Some(Capture { stream, thread, works: Vec::new(), broken: false });
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamEndCapture(stream: usize, to: *mut usize) -> u32 {
    call_in_context(|state| {
        state.stream(stream)?;
        match &state.capture {
            Some(capture) if capture.thread != std::thread::current().id() => {
                return Err(Error(908));
            }
            _ => {}
        }
        let capture = state.capture.take_if(|capture| capture.stream == stream);
        let capture = capture.ok_or(Error::INVALID_VALUE)?;
        if capture.broken {
            return Err(Error::CAPTURE_INVALIDATED);
        }
        let handle = state.handle();
        state.graphs.insert(handle, capture.works);
        // SAFETY: a result, valid as the documentation asks for.
        unsafe { give(to, handle) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphInstantiateWithFlags(
    to: *mut usize,
    graph: usize,
    flags: c_ulonglong,
) -> u32 {
    call_in_context(|state| {
        state.may_fail("instantiate")?;
        if flags != 0 {
            return Err(Error::INVALID_VALUE);
        }
        let works = state.graphs.get(&graph).ok_or(Error::INVALID_VALUE)?.clone();
        let handle = state.handle();
        state.executables.insert(handle, works);
        // SAFETY: a result, valid as the documentation asks for.
        unsafe { give(to, handle) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphDestroy(graph: usize) -> u32 {
    call_in_context(|state| state.graphs.remove(&graph).map(drop).ok_or(Error::INVALID_VALUE))
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphLaunch(executable: usize, stream: usize) -> u32 {
    call_in_context(|state| {
        note(format_args!("graph"));
        state.stream(stream)?;
        state.not_captured(stream)?;
        let works = state.executables.get(&executable).ok_or(Error::INVALID_VALUE)?.clone();
        works.iter().try_for_each(|work| state.run(work))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphExecDestroy(executable: usize) -> u32 {
    call_in_context(|state| {
        state.executables.remove(&executable).map(drop).ok_or(Error::INVALID_VALUE)
    })
}
