//! NVRTC, the compiler library of CUDA, loaded from the directory it was installed into.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;

use libloading::Library;

use super::Error;

type Program = *mut c_void;

/// A loaded NVRTC.
pub struct Nvrtc {
    library: Library,
    /// NVRTC opens its builtins by name; having them open already spares a search path.
    _builtins: Library,
}

/// A file that sources may include, by the name they include it with.
pub struct Header {
    /// As in `#include "name"`.
    pub name: String,
    /// Contents.
    pub text: String,
}

impl Nvrtc {
    /// Loads `libnvrtc.so.12` from `directory`.
    ///
    /// # Errors
    /// [`Error::Library`].
    pub fn load(directory: &Path) -> Result<Self, Error> {
        let open = |name: &str| {
            let path = directory.join(name);
            // SAFETY: the files are NVIDIA's own libraries, pinned by hash; their initialisers
            // touch nothing of this program.
            unsafe { Library::new(&path) }
                .map_err(|e| Error::Library { path: path.clone(), detail: e.to_string() })
        };
        Ok(Self { _builtins: open("libnvrtc-builtins.so.12.8")?, library: open("libnvrtc.so.12")? })
    }

    /// Compiles one source to PTX text.
    ///
    /// # Errors
    /// [`Error::Compile`] with the compiler's log.
    pub fn compile(
        &self,
        name: &str,
        source: &str,
        headers: &[Header],
        options: &[&str],
    ) -> Result<String, Error> {
        let text = |x: &str| {
            CString::new(x).map_err(|_| Error::Compile {
                kernel: name.into(),
                code: -1,
                log: "a source contains a NUL byte".into(),
            })
        };
        let (title, body) = (text(name)?, text(source)?);
        let names = headers.iter().map(|h| text(&h.name)).collect::<Result<Vec<_>, _>>()?;
        let bodies = headers.iter().map(|h| text(&h.text)).collect::<Result<Vec<_>, _>>()?;
        let options = options.iter().map(|o| text(o)).collect::<Result<Vec<_>, _>>()?;
        let pointers = |x: &[CString]| x.iter().map(|x| x.as_ptr()).collect::<Vec<_>>();
        let (names, bodies, options) = (pointers(&names), pointers(&bodies), pointers(&options));

        let mut program: Program = std::ptr::null_mut();
        // SAFETY: the signatures are those of nvrtc.h 12.8; every pointer outlives the call,
        // and the two arrays hold as many strings as the count says.
        let created = unsafe {
            type Create = unsafe extern "C" fn(
                *mut Program,
                *const c_char,
                *const c_char,
                c_int,
                *const *const c_char,
                *const *const c_char,
            ) -> c_int;
            self.function::<Create>(b"nvrtcCreateProgram\0")?(
                &mut program,
                body.as_ptr(),
                title.as_ptr(),
                headers.len() as c_int,
                bodies.as_ptr(),
                names.as_ptr(),
            )
        };
        if created != 0 {
            let log = "nvrtcCreateProgram refused the source".into();
            return Err(Error::Compile { kernel: name.into(), code: created, log });
        }
        // SAFETY: `program` was made above; the options are as many as counted.
        let compiled = unsafe {
            type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
            self.function::<Compile>(b"nvrtcCompileProgram\0")?(
                program,
                options.len() as c_int,
                options.as_ptr(),
            )
        };
        let result = match compiled {
            0 => self.text(program, b"nvrtcGetPTXSize\0", b"nvrtcGetPTX\0"),
            code => {
                let log =
                    self.text(program, b"nvrtcGetProgramLogSize\0", b"nvrtcGetProgramLog\0")?;
                Err(Error::Compile { kernel: name.into(), code, log })
            }
        };
        // SAFETY: `program` was made above and is destroyed once.
        unsafe {
            type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
            self.function::<Destroy>(b"nvrtcDestroyProgram\0")?(&mut program);
        }
        result
    }

    /// A string of a program, by the pair of functions that tell its size and copy it.
    fn text(&self, program: Program, size: &[u8], get: &[u8]) -> Result<String, Error> {
        let mut bytes = 0usize;
        // SAFETY: the signatures are those of nvrtc.h 12.8; the buffer is as long as the size
        // that the library told, which counts the terminating NUL.
        let buffer = unsafe {
            type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
            type Get = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
            self.function::<Size>(size)?(program, &mut bytes);
            let mut buffer = vec![0u8; bytes.max(1)];
            self.function::<Get>(get)?(program, buffer.as_mut_ptr().cast());
            buffer
        };
        let text = CStr::from_bytes_until_nul(&buffer).unwrap_or_default();
        Ok(text.to_string_lossy().into_owned())
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` must be the function's true signature.
    unsafe fn function<F: Copy>(&self, name: &[u8]) -> Result<F, Error> {
        // SAFETY: the caller vouches for the signature; the library outlives the copy, which
        // is called at once.
        unsafe { self.library.get::<F>(name) }
            .map(|f| *f)
            .map_err(|e| Error::Library { path: "libnvrtc.so.12".into(), detail: e.to_string() })
    }
}
