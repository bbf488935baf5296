//! The functions of libcuda that are called, found by name.
//!
//! cudarc finds and keeps the library. Its own functions are not used: they panic where a name
//! is absent, and return an enumeration, which a newer driver's result would not be in.

use std::ffi::{c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};
use std::sync::OnceLock;

use cudarc::driver::sys;

use super::error::CudaError;

/// A context, stream, event, module, function, graph or link in the making.
pub type Object = *mut c_void;
/// A GPU.
pub type Device = c_int;

/// File names by which the library is looked for, for people.
const LOOKED_FOR: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so, libcuda.so.1" };

/// Defines the table and how it is filled. Every function returns a `CUresult`. Those of the second
/// group are absent from drivers of CUDA 11.0 to 11.3, which take the kernels all the same.
macro_rules! functions {
    (
        always { $($name:ident($($argument:ty),*);)* }
        since_11_4 { $($later:ident($($taken:ty),*);)* }
    ) => {
        /// Pointers into the library, which is never unloaded.
        #[allow(non_snake_case)]
        pub struct Functions {
            $(pub $name: unsafe extern "C" fn($($argument),*) -> c_uint,)*
            $(pub $later: Option<unsafe extern "C" fn($($taken),*) -> c_uint>,)*
        }

        impl Functions {
            /// The table, or the first name that is absent.
            fn find() -> Result<Self, &'static str> {
                // SAFETY: the caller has seen that the library can be loaded, without which this
                // panics; loading it runs its initialisers, which have no preconditions.
                let library = unsafe { sys::culib() };
                Ok(Self {
                    $($name: {
                        let name = concat!(stringify!($name), "\0");
                        // SAFETY: the type is that of the declaration in cuda.h, with enumerations
                        // as the integers that they are; the library stays loaded.
                        *unsafe { library.get(name.as_bytes()) }.map_err(|_| stringify!($name))?
                    },)*
                    $($later: {
                        let name = concat!(stringify!($later), "\0");
                        // SAFETY: as above.
                        unsafe { library.get(name.as_bytes()) }.ok().map(|found| *found)
                    },)*
                })
            }
        }
    };
}

functions! {
    always {
        cuInit(c_uint);
        cuDriverGetVersion(*mut c_int);
        cuDeviceGetCount(*mut c_int);
        cuDeviceGet(*mut Device, c_int);
        cuDeviceGetName(*mut c_char, c_int, Device);
        cuDeviceTotalMem_v2(*mut usize, Device);
        cuDeviceGetAttribute(*mut c_int, c_uint, Device);
        cuDevicePrimaryCtxRetain(*mut Object, Device);
        cuDevicePrimaryCtxRelease_v2(Device);
        cuCtxSetCurrent(Object);
        cuMemGetInfo_v2(*mut usize, *mut usize);
        cuMemAlloc_v2(*mut u64, usize);
        cuMemFree_v2(u64);
        cuMemAllocHost_v2(*mut *mut c_void, usize);
        cuMemFreeHost(*mut c_void);
        cuStreamCreate(*mut Object, c_uint);
        cuStreamDestroy_v2(Object);
        cuStreamSynchronize(Object);
        cuStreamWaitEvent(Object, Object, c_uint);
        cuEventCreate(*mut Object, c_uint);
        cuEventDestroy_v2(Object);
        cuEventRecord(Object, Object);
        cuEventSynchronize(Object);
        cuEventElapsedTime(*mut f32, Object, Object);
        cuMemcpyHtoDAsync_v2(u64, *const c_void, usize, Object);
        cuMemcpyDtoHAsync_v2(*mut c_void, u64, usize, Object);
        cuMemcpyDtoDAsync_v2(u64, u64, usize, Object);
        cuMemsetD8Async(u64, c_uchar, usize, Object);
        cuLinkCreate_v2(c_uint, *mut c_uint, *mut *mut c_void, *mut Object);
        cuLinkAddData_v2(
            Object, c_uint, *mut c_void, usize, *const c_char, c_uint, *mut c_uint, *mut *mut c_void
        );
        cuLinkComplete(Object, *mut *mut c_void, *mut usize);
        cuLinkDestroy(Object);
        cuModuleLoadData(*mut Object, *const c_void);
        cuModuleUnload(Object);
        cuModuleGetFunction(*mut Object, Object, *const c_char);
        cuFuncGetAttribute(*mut c_int, c_uint, Object);
        cuFuncSetAttribute(Object, c_uint, c_int);
        cuLaunchKernel(
            Object, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Object, *mut *mut c_void,
            *mut *mut c_void
        );
        cuStreamBeginCapture_v2(Object, c_uint);
        cuStreamEndCapture(Object, *mut Object);
        cuGraphDestroy(Object);
        cuGraphLaunch(Object, Object);
        cuGraphExecDestroy(Object);
    }
    since_11_4 {
        cuGraphInstantiateWithFlags(*mut Object, Object, c_ulonglong);
    }
}

/// The functions of this machine's driver.
///
/// # Errors
/// [`CudaError::NoLibrary`] and [`CudaError::Symbol`].
pub fn functions() -> Result<&'static Functions, CudaError> {
    static FOUND: OnceLock<Option<Result<Functions, &'static str>>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        // SAFETY: loads the library if it is there, which runs its initialisers; they have no
        // preconditions.
        unsafe { sys::is_culib_present() }.then(Functions::find)
    });
    match found {
        None => Err(CudaError::NoLibrary { looked_for: LOOKED_FOR.into() }),
        Some(Err(symbol)) => Err(CudaError::Symbol { symbol, needed: super::needed() }),
        Some(Ok(functions)) => Ok(functions),
    }
}
