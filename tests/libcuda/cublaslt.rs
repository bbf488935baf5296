//! A libcublasLt in the same file: a link to it under that library's name is the whole of it. Sums
//! are in f64, so that its results are not the bits of the program's own kernels. Its settings are
//! in the variable of the driver:
//!
//! | key | meaning |
//! |---|---|
//! | `cublas` | result of every product |
//! | `cublas_lacks` | 1: no algorithm for any product |

use std::ffi::{c_int, c_uint, c_void};
use std::sync::Mutex;

use crate::state::{Error, State, state};
use crate::work::Work;

const INVALID_VALUE: u32 = 7;
const NOT_SUPPORTED: u32 = 15;
/// Bytes of the workspace that the program has.
const WORKSPACE: u64 = 32 << 20;
/// What an algorithm of this library begins with.
const ALGORITHM: u64 = 0x6c74;

/// A matrix, column by column.
#[derive(Clone, Copy)]
pub struct Layout {
    /// 14 for bf16, 0 for f32.
    kind: c_uint,
    rows: u64,
    columns: u64,
}

/// Whether each factor is transposed.
#[derive(Default)]
struct Operation {
    transposed: [Mutex<bool>; 2],
}

/// A product with its addresses.
#[derive(Clone, Copy)]
pub struct Product {
    factors: [(u64, Layout, bool); 2],
    addend: Option<u64>,
    out: (u64, Layout),
}

/// # Safety
/// `to` is valid for a write.
unsafe fn new<T>(to: *mut *mut T, value: T) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { to.write(Box::into_raw(Box::new(value))) };
    0
}

/// # Safety
/// `object` comes from [`new`] and is given back once.
unsafe fn delete<T>(object: *mut T) -> u32 {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(object) });
    0
}

// SAFETY of every function: its name and type are those of `cublasLt.h`; pointers are valid as that
// documentation asks for.

#[unsafe(no_mangle)]
extern "C" fn cublasLtGetVersion() -> usize {
    120_402
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtCreate(to: *mut *mut u8) -> u32 {
    // SAFETY: see above.
    unsafe { new(to, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtDestroy(handle: *mut u8) -> u32 {
    // SAFETY: see above.
    unsafe { delete(handle) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulDescCreate(
    to: *mut *mut Operation,
    compute: c_uint,
    scale: c_uint,
) -> u32 {
    if (compute, scale) != (68, 0) {
        return NOT_SUPPORTED;
    }
    // SAFETY: see above.
    unsafe { new(to, Operation::default()) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulDescDestroy(operation: *mut Operation) -> u32 {
    // SAFETY: see above.
    unsafe { delete(operation) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulDescSetAttribute(
    operation: *const Operation,
    which: c_uint,
    value: *const i32,
    size: usize,
) -> u32 {
    if !(3..=4).contains(&which) || size != 4 {
        return INVALID_VALUE;
    }
    // SAFETY: see above.
    let (operation, value) = unsafe { (&*operation, value.read()) };
    *operation.transposed[which as usize - 3].lock().unwrap() = value == 1;
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatrixLayoutCreate(
    to: *mut *mut Layout,
    kind: c_uint,
    rows: u64,
    columns: u64,
    leading: i64,
) -> u32 {
    if !matches!(kind, 0 | 14) || leading != rows as i64 {
        return INVALID_VALUE;
    }
    // SAFETY: see above.
    unsafe { new(to, Layout { kind, rows, columns }) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatrixLayoutDestroy(layout: *mut Layout) -> u32 {
    // SAFETY: see above.
    unsafe { delete(layout) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulPreferenceCreate(to: *mut *mut Mutex<Vec<(u32, u64)>>) -> u32 {
    // SAFETY: see above.
    unsafe { new(to, Mutex::default()) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulPreferenceDestroy(
    preference: *mut Mutex<Vec<(u32, u64)>>,
) -> u32 {
    // SAFETY: see above.
    unsafe { delete(preference) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulPreferenceSetAttribute(
    preference: *const Mutex<Vec<(u32, u64)>>,
    which: c_uint,
    value: *const c_void,
    size: usize,
) -> u32 {
    // SAFETY: see above.
    let value = unsafe {
        match size {
            4 => u64::from(value.cast::<u32>().read()),
            8 => value.cast::<u64>().read(),
            _ => return INVALID_VALUE,
        }
    };
    // SAFETY: see above.
    unsafe { &*preference }.lock().unwrap().push((which, value));
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmulAlgoGetHeuristic(
    _handle: *const u8,
    operation: *const Operation,
    a: *const Layout,
    b: *const Layout,
    c: *const Layout,
    d: *const Layout,
    preference: *const Mutex<Vec<(u32, u64)>>,
    wanted: c_int,
    // 12 words of an algorithm, workspace, state and more.
    results: *mut [u64; 12],
    found: *mut c_int,
) -> u32 {
    // SAFETY: see above.
    let (layouts, operation) = unsafe { ([*a, *b, *d], &*operation) };
    // SAFETY: see above.
    let preference = unsafe { &*preference }.lock().unwrap().clone();
    // Workspace, sums in order alone, and the alignment of everything.
    let expected = [(1, WORKSPACE), (3, 2), (5, 16), (6, 16), (7, 16), (8, 16)];
    if wanted != 1 || c != d || preference != expected || extents(operation, &layouts).is_none() {
        return INVALID_VALUE;
    }
    let lacks = state().lock().is_ok_and(|state| state.setting("cublas_lacks", 0) != 0);
    let mut result = [0; 12];
    result[0] = ALGORITHM;
    // SAFETY: see above.
    unsafe {
        results.write(result);
        found.write(i32::from(!lacks));
    }
    if lacks { NOT_SUPPORTED } else { 0 }
}

/// Rows, columns and length of the sums, where the matrices go together.
fn extents(operation: &Operation, layouts: &[Layout; 3]) -> Option<[u64; 3]> {
    let factor = |i: usize| {
        let Layout { rows, columns, .. } = layouts[i];
        let transposed = *operation.transposed[i].lock().unwrap();
        if transposed { (columns, rows) } else { (rows, columns) }
    };
    let ((m, k), (inner, n)) = (factor(0), factor(1));
    let fits = k == inner && (m, n) == (layouts[2].rows, layouts[2].columns);
    fits.then_some([m, n, k])
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasLtMatmul(
    _handle: *const u8,
    operation: *const Operation,
    alpha: *const f32,
    a: u64,
    a_layout: *const Layout,
    b: u64,
    b_layout: *const Layout,
    beta: *const f32,
    c: u64,
    c_layout: *const Layout,
    d: u64,
    d_layout: *const Layout,
    algorithm: *const u64,
    workspace: u64,
    workspace_size: usize,
    stream: usize,
) -> u32 {
    // SAFETY: see above.
    let (operation, layouts, beta, alpha, algorithm) =
        unsafe { (&*operation, [*a_layout, *b_layout, *d_layout], *beta, *alpha, *algorithm) };
    let whole = extents(operation, &layouts).is_some() && c_layout == d_layout;
    if !whole || alpha != 1.0 || algorithm != ALGORITHM || workspace_size as u64 != WORKSPACE {
        return INVALID_VALUE;
    }
    if [a, b, c, d].iter().any(|address| address % 16 != 0) {
        return INVALID_VALUE;
    }
    let transposed = operation.transposed.each_ref().map(|one| *one.lock().unwrap());
    let product = Product {
        factors: [(a, layouts[0], transposed[0]), (b, layouts[1], transposed[1])],
        addend: (beta == 1.0).then_some(c),
        out: (d, layouts[2]),
    };
    let Ok(mut state) = state().lock() else { return 14 };
    let status = state.setting("cublas", 0) as u32;
    // The workspace is the whole of a block of the program's.
    if state.blocks.get(&workspace).is_none_or(|bytes| (*bytes as u64) < WORKSPACE) {
        return INVALID_VALUE;
    }
    match status {
        0 => state.put(stream, Work::Product(product)).map_or(14, |()| 0),
        status => status,
    }
}

impl Layout {
    fn read(&self, state: &State, address: u64) -> Result<Vec<f64>, Error> {
        let count = (self.rows * self.columns) as usize;
        let size = if self.kind == 0 { 4 } else { 2 };
        let mut bytes = vec![0; count * size];
        state.gpu.read(address, &mut bytes).map_err(|_| Error::INVALID_VALUE)?;
        let number = |bytes: &[u8]| match *bytes {
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            _ => f32::from_le_bytes([0, 0, bytes[0], bytes[1]]),
        };
        Ok(bytes.chunks_exact(size).map(|bytes| f64::from(number(bytes))).collect())
    }

    /// To the nearest, ties to even.
    fn bytes(&self, values: &[f64]) -> Vec<u8> {
        let words = values.iter().map(|value| (*value as f32).to_bits());
        match self.kind {
            0 => words.flat_map(u32::to_le_bytes).collect(),
            _ => words
                .map(|word| ((word + 0x7fff + ((word >> 16) & 1)) >> 16) as u16)
                .flat_map(u16::to_le_bytes)
                .collect(),
        }
    }
}

impl State {
    /// Computes a product.
    pub fn multiply(&mut self, product: &Product) -> Result<(), Error> {
        let Product { factors: [a, b], addend, out } = product;
        let [x, y] = [a, b].map(|(address, layout, _)| layout.read(self, *address));
        let (x, y) = (x?, y?);
        let at = |values: &[f64], layout: &Layout, transposed: bool, row: u64, column: u64| {
            let (row, column) = if transposed { (column, row) } else { (row, column) };
            values[(column * layout.rows + row) as usize]
        };
        let inner = if a.2 { a.1.rows } else { a.1.columns };
        let mut sums = match addend {
            Some(addend) => out.1.read(self, *addend)?,
            None => vec![0.0; (out.1.rows * out.1.columns) as usize],
        };
        for column in 0..out.1.columns {
            for row in 0..out.1.rows {
                let terms =
                    (0..inner).map(|k| at(&x, &a.1, a.2, row, k) * at(&y, &b.1, b.2, k, column));
                sums[(column * out.1.rows + row) as usize] += terms.sum::<f64>();
            }
        }
        let bytes = out.1.bytes(&sums);
        self.gpu.write(out.0, &bytes).map_err(|_| Error::INVALID_VALUE)
    }
}
