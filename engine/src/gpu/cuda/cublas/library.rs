//! libcublasLt as the [`ProductLibrary`].
//!
//! It counts matrices by columns. A matrix of ours, row by row, is its own transpose there, so each
//! product is formed with its factors changed over: `out^T = weight x^T` and so on.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

use ltm_ptx::Storage;

use super::functions::{Algorithm, Functions, Heuristic, Object, functions};
use super::{Planned, ProductLibrary, Status, WORKSPACE};
use crate::gpu::cuda::CudaError;
use crate::gpu::cuda::api::Handle;
use crate::gpu::product::{Product, ProductKind, ProductShape};

/// `CUBLAS_COMPUTE_32F`: products of f32 are not rounded to less.
const COMPUTE_F32: c_uint = 68;
/// `CUDA_R_32F`.
const F32: c_uint = 0;
/// `CUDA_R_16BF`.
const BF16: c_uint = 14;
/// `CUBLASLT_MATMUL_DESC_TRANSA` and `CUBLASLT_MATMUL_DESC_TRANSB`.
const TRANSPOSE: [c_uint; 2] = [3, 4];
/// `CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES`.
const MOST_WORKSPACE: c_uint = 1;
/// `CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK`.
const REDUCTION_SCHEMES: c_uint = 3;
/// `CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE`: sums that are cut are added in f32 by a second kernel,
/// in a fixed order. The others add in the order of arrival, or round in between.
static IN_ORDER: u32 = 2;
/// `CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES` to `..._D_BYTES`.
const ALIGNMENTS: [c_uint; 4] = [5, 6, 7, 8];
/// Bytes on which every address begins; see [`super::ALIGNMENT`].
static ALIGNMENT: u32 = super::ALIGNMENT as u32;

/// The library of this machine, in use.
pub struct CublasLt {
    f: &'static Functions,
    handle: Object,
}

// SAFETY: the library's handle may be used from any thread; NVIDIA documents it as thread-safe.
unsafe impl Send for CublasLt {}
// SAFETY: as above.
unsafe impl Sync for CublasLt {}

impl CublasLt {
    /// Loads it for the context that is current.
    ///
    /// # Errors
    /// [`CudaError::NoCublas`], [`CudaError::CublasSymbol`] and [`CudaError::Cublas`].
    pub fn load() -> Result<Self, CudaError> {
        let f = functions()?;
        // SAFETY: writes one pointer.
        let handle = made(|handle| unsafe { (f.cublasLtCreate)(handle) });
        let handle =
            handle.map_err(|status| CudaError::Cublas { call: "starting cuBLASLt", status })?;
        Ok(Self { f, handle })
    }
}

/// Version of the library of this machine; takes nothing into use.
///
/// # Errors
/// [`CudaError::NoCublas`] and [`CudaError::CublasSymbol`].
pub fn version() -> Result<String, CudaError> {
    Ok(version_of(functions()?))
}

fn version_of(f: &Functions) -> String {
    // SAFETY: takes and touches nothing.
    let number = unsafe { (f.cublasLtGetVersion)() };
    // 1000 major + 100 minor + patch of the first ones, 10000 major + 100 minor + patch since.
    let unit = if number >= 100_000 { 10_000 } else { 1000 };
    format!("{}.{}.{}", number / unit, number % unit / 100, number % 100)
}

fn check(result: c_uint) -> Result<(), Status> {
    if result == 0 { Ok(()) } else { Err(Status(result)) }
}

fn made(call: impl FnOnce(&mut Object) -> c_uint) -> Result<Object, Status> {
    let mut object = null_mut();
    check(call(&mut object))?;
    Ok(object)
}

/// Something that is given back by a function of its own.
struct Owned {
    object: Object,
    destroy: unsafe extern "C" fn(Object) -> c_uint,
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: made by the function that belongs to `destroy`, and given back once. What is left
        // of one that cannot be harms nobody.
        unsafe { (self.destroy)(self.object) };
    }
}

/// Rows and columns as the library counts them; each is contiguous, so rows are the leading
/// dimension too.
struct Matrices {
    /// The weight, or `x` for its gradient, and whether it is transposed.
    a: ([u64; 2], bool),
    /// The activations, or `d_out`.
    b: ([u64; 2], bool),
    /// The result.
    d: [u64; 2],
}

fn matrices(shape: &ProductShape) -> Matrices {
    let [rows, inner, outer] = [shape.rows, shape.inner, shape.outer].map(u64::from);
    match shape.kind {
        ProductKind::Forward => {
            Matrices { a: ([inner, outer], true), b: ([inner, rows], false), d: [outer, rows] }
        }
        ProductKind::BackwardInput => {
            Matrices { a: ([inner, outer], false), b: ([outer, rows], false), d: [inner, rows] }
        }
        ProductKind::BackwardWeight => {
            Matrices { a: ([inner, rows], false), b: ([outer, rows], true), d: [inner, outer] }
        }
    }
}

impl CublasLt {
    fn layout(&self, kind: c_uint, [rows, columns]: [u64; 2]) -> Result<Owned, Status> {
        let leading = rows as i64;
        // SAFETY: writes one pointer.
        let object = made(|layout| unsafe {
            (self.f.cublasLtMatrixLayoutCreate)(layout, kind, rows, columns, leading)
        })?;
        Ok(Owned { object, destroy: self.f.cublasLtMatrixLayoutDestroy })
    }

    fn preference(&self) -> Result<Owned, Status> {
        // SAFETY: writes one pointer.
        let object = made(|object| unsafe { (self.f.cublasLtMatmulPreferenceCreate)(object) })?;
        let preference = Owned { object, destroy: self.f.cublasLtMatmulPreferenceDestroy };
        let set = |attribute: c_uint, value: *const c_void, size: usize| {
            // SAFETY: `value` is `size` bytes, which are the size of the attribute, and is copied.
            check(unsafe {
                (self.f.cublasLtMatmulPreferenceSetAttribute)(object, attribute, value, size)
            })
        };
        let workspace = WORKSPACE as u64;
        set(MOST_WORKSPACE, (&raw const workspace).cast(), size_of_val(&workspace))?;
        set(REDUCTION_SCHEMES, (&raw const IN_ORDER).cast(), size_of_val(&IN_ORDER))?;
        for attribute in ALIGNMENTS {
            set(attribute, (&raw const ALIGNMENT).cast(), size_of_val(&ALIGNMENT))?;
        }
        Ok(preference)
    }
}

impl ProductLibrary for CublasLt {
    fn version(&self) -> String {
        version_of(self.f)
    }

    fn plan(&self, shape: &ProductShape) -> Result<Option<Box<dyn Planned>>, Status> {
        let f = self.f;
        let Matrices { a, b, d } = matrices(shape);
        let stored = match shape.storage {
            Storage::F32 => F32,
            Storage::Bf16 => BF16,
        };
        let result = if shape.kind == ProductKind::BackwardWeight { F32 } else { stored };
        // SAFETY: writes one pointer.
        let object =
            made(|object| unsafe { (f.cublasLtMatmulDescCreate)(object, COMPUTE_F32, F32) })?;
        let operation = Owned { object, destroy: f.cublasLtMatmulDescDestroy };
        for (attribute, transposed) in TRANSPOSE.into_iter().zip([a.1, b.1]) {
            let value = i32::from(transposed);
            // SAFETY: an integer of 32 bits is what the attribute takes; it is copied.
            check(unsafe {
                let (value, size) = ((&raw const value).cast(), size_of::<i32>());
                (f.cublasLtMatmulDescSetAttribute)(object, attribute, value, size)
            })?;
        }
        let layouts =
            [self.layout(stored, a.0)?, self.layout(stored, b.0)?, self.layout(result, d)?];
        let preference = self.preference()?;
        let mut heuristic = Heuristic {
            algorithm: Algorithm { data: [0; 8] },
            workspace: 0,
            state: 0,
            waves: 0.0,
            reserved: [0; 4],
        };
        let mut found: c_int = 0;
        let [a, b, d] = layouts.each_ref().map(|layout| layout.object);
        // SAFETY: everything was made above and is alive; writes at most one result and a count.
        let asked = check(unsafe {
            (f.cublasLtMatmulAlgoGetHeuristic)(
                self.handle,
                operation.object,
                a,
                b,
                d,
                d,
                preference.object,
                1,
                &mut heuristic,
                &mut found,
            )
        });
        match asked {
            Err(Status::NOT_SUPPORTED) => return Ok(None),
            asked => asked?,
        }
        if found == 0 || heuristic.state != 0 || heuristic.workspace > WORKSPACE {
            return Ok(None);
        }
        let algorithm = heuristic.algorithm;
        let handle = self.handle;
        Ok(Some(Box::new(Plan { f, handle, operation, layouts, algorithm })))
    }
}

impl Drop for CublasLt {
    fn drop(&mut self) {
        // SAFETY: made by `load`, and given back once; plans are dropped before, as their owner has
        // them in that order.
        unsafe { (self.f.cublasLtDestroy)(self.handle) };
    }
}

/// Descriptors and an algorithm.
struct Plan {
    f: &'static Functions,
    handle: Object,
    operation: Owned,
    /// Of both factors and of the result.
    layouts: [Owned; 3],
    algorithm: Algorithm,
}

// SAFETY: descriptors are only read once they are made.
unsafe impl Send for Plan {}

impl Planned for Plan {
    unsafe fn run(&self, product: &Product, workspace: u64, stream: Handle) -> Result<(), Status> {
        let (alpha, beta) = (1.0_f32, if product.shape.added { 1.0_f32 } else { 0.0 });
        let addend = if product.shape.added { product.addend } else { product.out };
        let [a, b, d] = self.layouts.each_ref().map(|layout| layout.object);
        // SAFETY: the caller's promise for the addresses; descriptors and handle are alive; both
        // factors are read before the call returns.
        check(unsafe {
            (self.f.cublasLtMatmul)(
                self.handle,
                self.operation.object,
                (&raw const alpha).cast(),
                product.other,
                a,
                product.activations,
                b,
                (&raw const beta).cast(),
                addend,
                d,
                product.out,
                d,
                &self.algorithm,
                workspace,
                WORKSPACE,
                stream as Object,
            )
        })
    }
}
