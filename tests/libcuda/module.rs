//! Links, modules and launches. Machine code is the PTX text with its last zero byte.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use ltm_ptx::Arg;

use crate::state::{Error, Function, Link, Module};
use crate::work::Work;
use crate::{call_in_context, give};

/// What the compiler says when it is told to fail.
const LOG: &CStr = c"ptxas fatal : the test says so";

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLinkCreate_v2(
    count: c_uint,
    names: *const c_uint,
    values: *const *mut c_void,
    to: *mut usize,
) -> u32 {
    call_in_context(|state| {
        // SAFETY: two arrays of `count`, valid as the documentation asks for.
        let options = (0..count as usize).map(|i| unsafe { (*names.add(i), *values.add(i)) });
        let option = |name| options.clone().find(|option| option.0 == name).map(|o| o.1 as usize);
        let link = Link { log: option(5).zip(option(6)), image: Vec::new() };
        let handle = state.handle();
        state.links.insert(handle, link);
        // SAFETY: a result, valid as the documentation asks for.
        unsafe { give(to, handle) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLinkAddData_v2(
    link: usize,
    kind: c_uint,
    data: *const u8,
    size: usize,
    _name: *const c_char,
    _options: c_uint,
    _names: *const c_uint,
    _values: *const *mut c_void,
) -> u32 {
    call_in_context(|state| {
        let failure = state.may_fail("compile");
        let link = state.links.get_mut(&link).ok_or(Error::INVALID_HANDLE)?;
        if let (Err(_), Some((log, bytes))) = (failure, link.log) {
            let text = LOG.to_bytes_with_nul();
            let text = &text[..text.len().min(bytes)];
            // SAFETY: the buffer that the link was made with, as long as it was said to be.
            unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), log as *mut u8, text.len()) };
        }
        failure?;
        // SAFETY: valid as the documentation asks for.
        let text = unsafe { std::slice::from_raw_parts(data, size) };
        if kind != 1 || text.last() != Some(&0) {
            return Err(Error::INVALID_VALUE);
        }
        link.image = text.to_vec();
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLinkComplete(link: usize, to: *mut *const u8, size: *mut usize) -> u32 {
    call_in_context(|state| {
        let link = state.links.get(&link).ok_or(Error::INVALID_HANDLE)?;
        // SAFETY: two results, valid as the documentation asks for.
        unsafe {
            give(to, link.image.as_ptr())?;
            give(size, link.image.len())
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuLinkDestroy(link: usize) -> u32 {
    call_in_context(|state| state.links.remove(&link).map(drop).ok_or(Error::INVALID_HANDLE))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadData(to: *mut usize, image: *const c_char) -> u32 {
    call_in_context(|state| {
        state.not_capturing()?;
        // SAFETY: ends with a zero byte, as every image of this library does.
        let text = unsafe { CStr::from_ptr(image) }.to_str().map_err(|_| Error(200))?.to_owned();
        let program = state.gpu.load(&text).map_err(|_| Error(218))?.into();
        let handle = state.handle();
        state.modules.insert(handle, Module { program, text });
        // SAFETY: a result, valid as the documentation asks for.
        unsafe { give(to, handle) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(module: usize) -> u32 {
    call_in_context(|state| {
        state.not_capturing()?;
        state.functions.retain(|_, function| function.module != module);
        state.modules.remove(&module).map(drop).ok_or(Error::INVALID_HANDLE)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunction(
    to: *mut usize,
    module: usize,
    name: *const c_char,
) -> u32 {
    call_in_context(|state| {
        // SAFETY: a text, valid as the documentation asks for.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        let program = &state.modules.get(&module).ok_or(Error::INVALID_HANDLE)?.program;
        if !program.entries().contains(&name) {
            return Err(Error(500));
        }
        let handle = state.handle();
        state.functions.insert(handle, Function { module, name, dynamic_shared: 48 << 10 });
        // SAFETY: a result, valid as the documentation asks for.
        unsafe { give(to, handle) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetAttribute(to: *mut c_int, which: c_uint, function: usize) -> u32 {
    call_in_context(|state| {
        let function = state.functions.get(&function).ok_or(Error::INVALID_HANDLE)?;
        match which {
            // SAFETY: a result, valid as the documentation asks for.
            8 => unsafe { give(to, function.dynamic_shared as c_int) },
            _ => Err(Error::INVALID_VALUE),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetAttribute(function: usize, which: c_uint, value: c_int) -> u32 {
    call_in_context(|state| {
        let function = state.functions.get_mut(&function).ok_or(Error::INVALID_HANDLE)?;
        if which != 8 || !(0..=163 << 10).contains(&value) {
            return Err(Error::INVALID_VALUE);
        }
        function.dynamic_shared = value as u32;
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchKernel(
    function: usize,
    gx: c_uint,
    gy: c_uint,
    gz: c_uint,
    bx: c_uint,
    by: c_uint,
    bz: c_uint,
    shared: c_uint,
    stream: usize,
    parameters: *const *const c_void,
    extra: *const *const c_void,
) -> u32 {
    call_in_context(|state| {
        let handle = function;
        let function = state.functions.get(&handle).ok_or(Error::INVALID_HANDLE)?;
        if shared > function.dynamic_shared || !extra.is_null() {
            return Err(Error::INVALID_VALUE);
        }
        let text = &state.modules[&function.module].text;
        // SAFETY: one pointer per parameter, to as many bytes as it has, as the documentation asks.
        let args = unsafe { arguments(text, &function.name, parameters) };
        let (grid, block) = ([gx, gy, gz], [bx, by, bz]);
        state
            .put(stream, Work::Launch { function: handle, grid, block, shared_bytes: shared, args })
    })
}

/// The arguments of a launch, as the text declares the parameters.
///
/// # Safety
/// One pointer per parameter, each to as many bytes as it has.
unsafe fn arguments(ptx: &str, name: &str, parameters: *const *const c_void) -> Vec<Arg> {
    let entry = ptx.split(&format!(".entry {name}(")).nth(1).unwrap_or_default();
    let declared = entry.split(')').next().unwrap_or_default().lines();
    let types = declared.filter_map(|line| line.trim().strip_prefix(".param ."));
    let one = |(i, ty): (usize, &str)| {
        // SAFETY: the caller's promise.
        let at = unsafe { *parameters.add(i) };
        // SAFETY: as many bytes as the type has; of any alignment.
        unsafe {
            match ty.split_whitespace().next() {
                Some("u64" | "s64" | "b64") => Arg::U64(at.cast::<u64>().read_unaligned()),
                Some("f64") => Arg::F64(at.cast::<f64>().read_unaligned()),
                Some("f32") => Arg::F32(at.cast::<f32>().read_unaligned()),
                _ => Arg::U32(at.cast::<u32>().read_unaligned()),
            }
        }
    };
    types.enumerate().map(one).collect()
}
