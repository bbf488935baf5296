//! NVIDIA's driver library as the [`Api`].

mod graphs;

use std::ffi::{CStr, c_uint, c_void};
use std::ptr::null_mut;

use super::Code;
use super::api::{Api, Attribute, Handle, Kernel, Outcome, Rejection};
use super::error::CudaError;
use super::functions::{Device, Functions, Object, functions};

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: c_uint = 1;
/// `CU_EVENT_DISABLE_TIMING`.
const WITHOUT_TIMES: c_uint = 2;
/// `CU_EVENT_DEFAULT`.
const WITH_TIMES: c_uint = 0;
/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`.
const DYNAMIC_SHARED: c_uint = 8;
/// `CU_JIT_INPUT_PTX`.
const PTX: c_uint = 1;
/// `CU_JIT_ERROR_LOG_BUFFER`, and its size in bytes.
const ERROR_LOG: [c_uint; 2] = [5, 6];
/// Bytes of the compiler's log that are kept.
const LOG: usize = 8192;

/// The library of this machine.
pub struct Library {
    f: &'static Functions,
}

impl Library {
    /// Loads it.
    ///
    /// # Errors
    /// [`CudaError::NoLibrary`] and [`CudaError::Symbol`].
    pub fn load() -> Result<Self, CudaError> {
        Ok(Self { f: functions()? })
    }

    fn device(&self, ordinal: u32) -> Outcome<Device> {
        let mut device = 0;
        // SAFETY: writes one integer; any ordinal is legal, and refused when there is no such GPU.
        check(unsafe { (self.f.cuDeviceGet)(&mut device, ordinal as i32) })?;
        Ok(device)
    }

    /// Links one PTX text in `link`; the machine code belongs to `link`, so it is copied.
    fn complete(&self, link: Object, ptx: &CStr) -> Outcome<Vec<u8>> {
        let bytes = ptx.to_bytes_with_nul();
        // SAFETY: `link` is alive; the text is `bytes.len()` long and only read; its name may be
        // absent as may options.
        check(unsafe {
            (self.f.cuLinkAddData_v2)(
                link,
                PTX,
                bytes.as_ptr().cast_mut().cast(),
                bytes.len(),
                c"ltm".as_ptr(),
                0,
                null_mut(),
                null_mut(),
            )
        })?;
        let (mut code, mut size) = (null_mut(), 0);
        // SAFETY: `link` is alive; writes one pointer and one size.
        check(unsafe { (self.f.cuLinkComplete)(link, &mut code, &mut size) })?;
        if code.is_null() {
            return Err(Code::UNKNOWN);
        }
        // SAFETY: the call above succeeded, so `code` is `size` bytes that live as `link` does.
        Ok(unsafe { std::slice::from_raw_parts(code.cast::<u8>(), size) }.to_vec())
    }
}

fn check(result: c_uint) -> Outcome<()> {
    if result == 0 { Ok(()) } else { Err(Code(result)) }
}

/// A pointer that a call wrote, as a handle.
fn made(call: impl FnOnce(&mut Object) -> c_uint) -> Outcome<Handle> {
    let mut object = null_mut();
    check(call(&mut object))?;
    Ok(object as Handle)
}

fn object(handle: Handle) -> Object {
    handle as Object
}

/// An integer that a call wrote; the driver's counts and attributes are never negative.
fn number(call: impl FnOnce(&mut i32) -> c_uint) -> Outcome<u32> {
    let mut value = 0;
    check(call(&mut value))?;
    u32::try_from(value).map_err(|_| Code::UNKNOWN)
}

// SAFETY of the calls below, where nothing else is said: the function has the type of its
// declaration; what it writes are the local variables that it is given, of the types that it
// declares; handles come from this trait's own calls, whose users give each back once.
impl Api for Library {
    fn init(&self) -> Outcome<()> {
        // SAFETY: see above; 0 is the only legal flag.
        check(unsafe { (self.f.cuInit)(0) })
    }

    fn release(&self) -> Option<String> {
        // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  ...", in several wordings.
        let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
        let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        let mut words = text.lines().next()?.split_whitespace().filter(is_version);
        words.find(|word| word.contains('.')).map(str::to_owned)
    }

    fn driver_version(&self) -> Outcome<u32> {
        // SAFETY: see above.
        number(|value| unsafe { (self.f.cuDriverGetVersion)(value) })
    }

    fn device_count(&self) -> Outcome<u32> {
        // SAFETY: see above.
        number(|value| unsafe { (self.f.cuDeviceGetCount)(value) })
    }

    fn device_name(&self, device: u32) -> Outcome<String> {
        let device = self.device(device)?;
        let mut name = [0_u8; 256];
        // SAFETY: see above; the length given leaves a last byte that stays zero.
        check(unsafe { (self.f.cuDeviceGetName)(name.as_mut_ptr().cast(), 255, device) })?;
        Ok(until_nul(&name))
    }

    fn device_memory(&self, device: u32) -> Outcome<u64> {
        let device = self.device(device)?;
        let mut bytes = 0;
        // SAFETY: see above.
        check(unsafe { (self.f.cuDeviceTotalMem_v2)(&mut bytes, device) })?;
        Ok(bytes as u64)
    }

    fn attribute(&self, device: u32, attribute: Attribute) -> Outcome<u32> {
        let device = self.device(device)?;
        // SAFETY: see above.
        number(|value| unsafe { (self.f.cuDeviceGetAttribute)(value, attribute as u32, device) })
    }

    fn retain_context(&self, device: u32) -> Outcome<Handle> {
        let device = self.device(device)?;
        // SAFETY: see above.
        made(|context| unsafe { (self.f.cuDevicePrimaryCtxRetain)(context, device) })
    }

    fn release_context(&self, device: u32) -> Outcome<()> {
        let device = self.device(device)?;
        // SAFETY: see above.
        check(unsafe { (self.f.cuDevicePrimaryCtxRelease_v2)(device) })
    }

    fn enter(&self, context: Handle) -> Outcome<()> {
        // SAFETY: see above.
        check(unsafe { (self.f.cuCtxSetCurrent)(object(context)) })
    }

    fn free_memory(&self) -> Outcome<u64> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: see above.
        check(unsafe { (self.f.cuMemGetInfo_v2)(&mut free, &mut total) })?;
        Ok(free as u64)
    }

    fn alloc(&self, bytes: usize) -> Outcome<u64> {
        let mut address = 0;
        // SAFETY: see above.
        check(unsafe { (self.f.cuMemAlloc_v2)(&mut address, bytes) })?;
        Ok(address)
    }

    fn free(&self, address: u64) -> Outcome<()> {
        // SAFETY: see above.
        check(unsafe { (self.f.cuMemFree_v2)(address) })
    }

    fn alloc_pinned(&self, bytes: usize) -> Outcome<*mut u8> {
        let mut block = null_mut();
        // SAFETY: see above.
        check(unsafe { (self.f.cuMemAllocHost_v2)(&mut block, bytes) })?;
        Ok(block.cast())
    }

    unsafe fn free_pinned(&self, block: *mut u8) -> Outcome<()> {
        // SAFETY: the caller's promise.
        check(unsafe { (self.f.cuMemFreeHost)(block.cast()) })
    }

    fn create_stream(&self) -> Outcome<Handle> {
        // SAFETY: see above.
        made(|stream| unsafe { (self.f.cuStreamCreate)(stream, NON_BLOCKING) })
    }

    fn destroy_stream(&self, stream: Handle) -> Outcome<()> {
        // SAFETY: see above.
        check(unsafe { (self.f.cuStreamDestroy_v2)(object(stream)) })
    }

    fn synchronize(&self, stream: Handle) -> Outcome<()> {
        // SAFETY: see above.
        check(unsafe { (self.f.cuStreamSynchronize)(object(stream)) })
    }

    fn create_event(&self) -> Outcome<Handle> {
        // SAFETY: see above.
        made(|event| unsafe { (self.f.cuEventCreate)(event, WITHOUT_TIMES) })
    }

    fn create_timer(&self) -> Outcome<Handle> {
        // SAFETY: see above.
        made(|event| unsafe { (self.f.cuEventCreate)(event, WITH_TIMES) })
    }

    fn milliseconds(&self, from: Handle, to: Handle) -> Outcome<f32> {
        let mut milliseconds = 0.0;
        // SAFETY: see above.
        check(unsafe { (self.f.cuEventElapsedTime)(&mut milliseconds, object(from), object(to)) })?;
        Ok(milliseconds)
    }

    fn destroy_event(&self, event: Handle) -> Outcome<()> {
        // SAFETY: see above.
        check(unsafe { (self.f.cuEventDestroy_v2)(object(event)) })
    }

    fn record(&self, event: Handle, stream: Handle) -> Outcome<()> {
        // SAFETY: see above.
        check(unsafe { (self.f.cuEventRecord)(object(event), object(stream)) })
    }

    fn wait(&self, stream: Handle, event: Handle) -> Outcome<()> {
        // SAFETY: see above.
        check(unsafe { (self.f.cuStreamWaitEvent)(object(stream), object(event), 0) })
    }

    fn wait_on_host(&self, event: Handle) -> Outcome<()> {
        // SAFETY: see above.
        check(unsafe { (self.f.cuEventSynchronize)(object(event)) })
    }

    unsafe fn to_device(&self, from: *const u8, to: u64, bytes: usize, s: Handle) -> Outcome<()> {
        // SAFETY: the caller's promise for the host's side; the driver checks the other.
        check(unsafe { (self.f.cuMemcpyHtoDAsync_v2)(to, from.cast(), bytes, object(s)) })
    }

    unsafe fn to_host(&self, from: u64, to: *mut u8, bytes: usize, s: Handle) -> Outcome<()> {
        // SAFETY: the caller's promise for the host's side; the driver checks the other.
        check(unsafe { (self.f.cuMemcpyDtoHAsync_v2)(to.cast(), from, bytes, object(s)) })
    }

    fn copy(&self, from: u64, to: u64, bytes: usize, stream: Handle) -> Outcome<()> {
        // SAFETY: see above; no host memory is touched.
        check(unsafe { (self.f.cuMemcpyDtoDAsync_v2)(to, from, bytes, object(stream)) })
    }

    fn zero(&self, at: u64, bytes: usize, stream: Handle) -> Outcome<()> {
        // SAFETY: see above; no host memory is touched.
        check(unsafe { (self.f.cuMemsetD8Async)(at, 0, bytes, object(stream)) })
    }

    fn compile(&self, ptx: &CStr) -> Result<Vec<u8>, Rejection> {
        let mut log = vec![0_u8; LOG];
        let mut names = ERROR_LOG;
        // An option's value is passed as a pointer: the buffer is one, its size is a number. The
        // last byte is kept back, and stays zero.
        let mut values = [log.as_mut_ptr().cast::<c_void>(), (LOG - 1) as *mut c_void];
        let mut link = null_mut();
        // SAFETY: two options, of the kinds that these names take. The link keeps the addresses of
        // the buffer and of both arrays; they live, unread, until it is destroyed below.
        let created = unsafe {
            (self.f.cuLinkCreate_v2)(2, names.as_mut_ptr(), values.as_mut_ptr(), &mut link)
        };
        let result = check(created).and_then(|()| {
            let result = self.complete(link, ptx);
            // SAFETY: `link` was made above and is not used again. What it returns says nothing
            // of the machine code, which has been copied.
            unsafe { (self.f.cuLinkDestroy)(link) };
            result
        });
        result.map_err(|code| Rejection { code, log: until_nul(&log) })
    }

    fn load(&self, image: &[u8]) -> Outcome<Handle> {
        // SAFETY: see above. The driver reads as far as the headers of `image` say; the cache
        // hands over whole images only, which its checksum shows.
        made(|module| unsafe { (self.f.cuModuleLoadData)(module, image.as_ptr().cast()) })
    }

    fn unload(&self, module: Handle) -> Outcome<()> {
        // SAFETY: see above.
        check(unsafe { (self.f.cuModuleUnload)(object(module)) })
    }

    fn function(&self, module: Handle, name: &CStr) -> Outcome<Handle> {
        // SAFETY: see above.
        made(|function| unsafe {
            (self.f.cuModuleGetFunction)(function, object(module), name.as_ptr())
        })
    }

    fn dynamic_shared(&self, function: Handle) -> Outcome<u32> {
        // SAFETY: see above.
        number(|value| unsafe {
            (self.f.cuFuncGetAttribute)(value, DYNAMIC_SHARED, object(function))
        })
    }

    fn set_dynamic_shared(&self, function: Handle, bytes: u32) -> Outcome<()> {
        let bytes = i32::try_from(bytes).map_err(|_| Code::INVALID_VALUE)?;
        // SAFETY: see above.
        check(unsafe { (self.f.cuFuncSetAttribute)(object(function), DYNAMIC_SHARED, bytes) })
    }

    unsafe fn launch(&self, kernel: &Kernel<'_>, stream: Handle) -> Outcome<()> {
        let ([gx, gy, gz], [bx, by, bz]) = (kernel.grid, kernel.block);
        // The low bytes of a word come first on every machine that NVIDIA's driver runs on, so a
        // pointer to the word is one to the parameter.
        const { assert!(cfg!(target_endian = "little")) };
        let mut parameters: Vec<*mut c_void> =
            kernel.args.iter().map(|word| (&raw const *word).cast_mut().cast()).collect();
        // SAFETY: the caller's promise for the arguments, which the call copies; one pointer per
        // parameter, each to 8 bytes that are only read.
        check(unsafe {
            (self.f.cuLaunchKernel)(
                object(kernel.function),
                gx,
                gy,
                gz,
                bx,
                by,
                bz,
                kernel.shared_bytes,
                object(stream),
                parameters.as_mut_ptr(),
                null_mut(),
            )
        })
    }
}

/// The text before the first zero byte.
fn until_nul(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}
