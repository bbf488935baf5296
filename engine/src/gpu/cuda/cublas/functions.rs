//! The functions of libcublasLt that are called, found by name; see `cuda/functions.rs` on why.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::OnceLock;

use crate::gpu::cuda::CudaError;
use crate::gpu::cuda::libraries::CUBLAS_LT;

/// A library handle, descriptor, layout or preference.
pub type Object = *mut c_void;

/// `cublasLtMatmulAlgo_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Algorithm {
    pub data: [u64; 8],
}

/// `cublasLtMatmulHeuristicResult_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Heuristic {
    pub algorithm: Algorithm,
    pub workspace: usize,
    pub state: c_uint,
    pub waves: f32,
    pub reserved: [c_int; 4],
}

/// Defines the table and how it is filled. Every function returns a `cublasStatus_t`.
macro_rules! functions {
    ($($name:ident($($argument:ty),*);)*) => {
        /// Pointers into the library, which is never unloaded.
        #[allow(non_snake_case)]
        pub struct Functions {
            $(pub $name: unsafe extern "C" fn($($argument),*) -> c_uint,)*
            pub cublasLtGetVersion: unsafe extern "C" fn() -> usize,
        }

        impl Functions {
            /// The table, or the first name that is absent.
            fn find(library: &libloading::Library) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        let name = concat!(stringify!($name), "\0");
                        // SAFETY: the type is that of the declaration in cublasLt.h, with
                        // enumerations as the integers that they are; the library stays loaded.
                        *unsafe { library.get(name.as_bytes()) }.map_err(|_| stringify!($name))?
                    },)*
                    // SAFETY: as above.
                    cublasLtGetVersion: *unsafe { library.get(b"cublasLtGetVersion\0") }
                        .map_err(|_| "cublasLtGetVersion")?,
                })
            }
        }
    };
}

functions! {
    cublasLtCreate(*mut Object);
    cublasLtDestroy(Object);
    cublasLtMatmulDescCreate(*mut Object, c_uint, c_uint);
    cublasLtMatmulDescDestroy(Object);
    cublasLtMatmulDescSetAttribute(Object, c_uint, *const c_void, usize);
    cublasLtMatrixLayoutCreate(*mut Object, c_uint, u64, u64, i64);
    cublasLtMatrixLayoutDestroy(Object);
    cublasLtMatmulPreferenceCreate(*mut Object);
    cublasLtMatmulPreferenceDestroy(Object);
    cublasLtMatmulPreferenceSetAttribute(Object, c_uint, *const c_void, usize);
    cublasLtMatmulAlgoGetHeuristic(
        Object, Object, Object, Object, Object, Object, Object, c_int, *mut Heuristic, *mut c_int
    );
    cublasLtMatmul(
        Object, Object, *const c_void, u64, Object, u64, Object, *const c_void, u64, Object, u64,
        Object, *const Algorithm, u64, usize, *mut c_void
    );
}

/// The functions of this machine's libcublasLt.
///
/// # Errors
/// [`CudaError::NoCublas`] and [`CudaError::CublasSymbol`].
pub fn functions() -> Result<&'static Functions, CudaError> {
    static FOUND: OnceLock<Option<Result<Functions, &'static str>>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let library = CUBLAS_LT.iter().find_map(|file| {
            // SAFETY: runs the initialisers of NVIDIA's library, which have no preconditions.
            unsafe { libloading::Library::new(*file) }.ok()
        })?;
        let functions = Functions::find(&library);
        std::mem::forget(library);
        Some(functions)
    });
    match found {
        None => Err(CudaError::NoCublas { looked_for: CUBLAS_LT.join(", ") }),
        Some(Err(symbol)) => Err(CudaError::CublasSymbol { symbol }),
        Some(Ok(functions)) => Ok(functions),
    }
}
