//! Matrix products through the `gemm` crate, cut into tasks by shape alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::lanes::WIDTH;
use super::parallel::Shared;
use super::pool::for_each;
use super::scratch::with_factor;
use super::tile::transpose;

/// Rows and columns of the block of the product that one task computes. Large enough that
/// packing a panel costs a few percent of the arithmetic it serves, small enough that a
/// layer of a small model still gives several tasks.
pub const ROW_BLOCK: usize = 256;
const COLUMN_BLOCK: usize = 512;

static NANOSECONDS: AtomicU64 = AtomicU64::new(0);
static FLOPS: AtomicU64 = AtomicU64::new(0);

/// Work done in matrix products since the program started, over all threads. The small ones
/// inside attention are not counted: clocks would cost more than they show.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatmulUsage {
    /// Thread time, seconds.
    pub seconds: f64,
    /// Floating-point operations, a multiply-add counted as two.
    pub flops: f64,
}

/// Reads the counters.
pub fn matmul_usage() -> MatmulUsage {
    MatmulUsage {
        seconds: NANOSECONDS.load(Ordering::Relaxed) as f64 * 1e-9,
        flops: FLOPS.load(Ordering::Relaxed) as f64,
    }
}

/// A matrix to read: element `(i, j)` is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix whose rows lie `stride` elements apart.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows == 0 || (rows - 1) * stride + columns <= data.len());
        Self { data, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// A contiguous row-major matrix.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// The transpose, without moving anything.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Rows `first..first + count`.
    pub fn rows(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.rows);
        let data = &self.data[(first * self.row_stride).min(self.data.len())..];
        Self { data, rows: count, ..self }
    }

    /// Columns `first..first + count`.
    pub fn columns(self, first: usize, count: usize) -> Self {
        self.t().rows(first, count).t()
    }
}

/// Where a product goes: row-major, rows `stride` elements apart.
pub struct Out<'a> {
    data: Shared<'a, f32>,
    offset: usize,
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a> Out<'a> {
    /// The whole of `data` as a matrix with rows `stride` elements apart.
    pub fn strided(data: &'a mut [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(columns <= stride && (rows == 0 || (rows - 1) * stride + columns <= data.len()));
        Self { data: Shared::new(data), offset: 0, rows, columns, stride }
    }

    /// A contiguous matrix.
    pub fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }
}

/// What happens to the former contents of the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// `out = a b`.
    Overwrite,
    /// `out += a b`.
    Add,
}

/// `out (+)= a b` on the calling thread.
pub fn matmul(out: &Out<'_>, a: Mat<'_>, b: Mat<'_>, store: Store) {
    assert!(a.columns == b.rows && out.rows == a.rows && out.columns == b.columns);
    if out.rows == 0 || out.columns == 0 {
        return;
    }
    let start = Instant::now();
    if packs_slowly(&b) {
        with_factor(transposed_len(&b), |memory| multiply(out, a, transposed(b, memory), store));
    } else {
        multiply(out, a, b, store);
    }
    let flops = 2 * out.rows as u64 * out.columns as u64 * a.columns as u64;
    FLOPS.fetch_add(flops, Ordering::Relaxed);
    NANOSECONDS.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
}

/// Whether columns lie apart by a multiple of 1 KiB. The library copies up to 64 of them side by side
/// into its panels, and so many lines of the same few sets of a cache displace each other.
fn packs_slowly(b: &Mat<'_>) -> bool {
    const CONFLICT: usize = 1024 / size_of::<f32>();
    let apart = b.row_stride == 1 && b.column_stride.is_multiple_of(CONFLICT);
    apart && b.rows > 0 && b.rows.is_multiple_of(WIDTH)
}

/// Distance of the rows that [`transposed`] makes.
fn transposed_stride(b: &Mat<'_>) -> usize {
    b.columns.next_multiple_of(WIDTH) + WIDTH
}

fn transposed_len(b: &Mat<'_>) -> usize {
    b.rows * transposed_stride(b)
}

/// The same matrix in `memory`, its rows contiguous. Their number is a multiple of sixteen.
fn transposed<'m>(b: Mat<'_>, memory: &'m mut [f32]) -> Mat<'m> {
    let (stride, whole) = (transposed_stride(&b), b.columns / WIDTH * WIDTH);
    for column in (0..whole).step_by(WIDTH) {
        let from = &b.data[column * b.column_stride..];
        transpose(from, b.rows, (b.column_stride, stride), &mut memory[column..]);
    }
    for column in whole..b.columns {
        let from = &b.data[column * b.column_stride..][..b.rows];
        memory[column..].iter_mut().step_by(stride).zip(from).for_each(|(to, x)| *to = *x);
    }
    Mat::strided(memory, b.rows, b.columns, stride)
}

/// `out (+)= a b` by the library.
fn multiply(out: &Out<'_>, a: Mat<'_>, b: Mat<'_>, store: Store) {
    // SAFETY: extent: the constructors of `Mat` and `Out` checked that every element of their
    // shapes lies in the slices, and the shapes agree. Aliasing: `Out` borrows its slice
    // mutably, tasks of `par_matmul` write disjoint blocks, and `a`, `b` are shared borrows.
    // Alignment: that of f32. Host memory, no stream.
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            a.columns,
            out.data.address(out.offset),
            1,
            out.stride as isize,
            store == Store::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `out (+)= a b` on the calling thread, for rows of one task: with the bits of [`par_matmul`] for
/// [`ROW_BLOCK`] rows from a multiple of that on, or those that are left.
pub fn matmul_rows(out: &mut [f32], a: Mat<'_>, b: Mat<'_>, store: Store) {
    let all = b.columns;
    let Out { data, stride, .. } = Out::new(out, a.rows, all);
    for offset in (0..all).step_by(COLUMN_BLOCK) {
        let columns = COLUMN_BLOCK.min(all - offset);
        let block = Out { data, offset, rows: a.rows, columns, stride };
        matmul(&block, a, b.columns(offset, columns), store);
    }
}

/// `out (+)= a b (+ addend)` in tasks of one block each.
pub fn par_matmul(out: &Out<'_>, a: Mat<'_>, b: Mat<'_>, store: Store, addend: Option<&[f32]>) {
    let (row_block, column_block) = (ROW_BLOCK, COLUMN_BLOCK);
    let row_blocks = out.rows.div_ceil(row_block);
    let column_blocks = out.columns.div_ceil(column_block);
    for_each(0..row_blocks * column_blocks, |task| {
        let row = task / column_blocks * row_block;
        let column = task % column_blocks * column_block;
        let rows = row_block.min(out.rows - row);
        let columns = column_block.min(out.columns - column);
        let block = Out {
            data: out.data,
            offset: out.offset + row * out.stride + column,
            rows,
            columns,
            stride: out.stride,
        };
        let mut store = store;
        if let Some(addend) = addend {
            for r in 0..rows {
                let to = block.offset + r * out.stride;
                let from = (row + r) * out.columns + column;
                // SAFETY: this row piece belongs to the block of this task alone.
                let piece = unsafe { out.data.part(to..to + columns) };
                piece.copy_from_slice(&addend[from..from + columns]);
            }
            store = Store::Add;
        }
        matmul(&block, a.rows(row, rows), b.columns(column, columns), store);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integers(n: usize, step: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * step) % 13) as f32 - 6.0).collect()
    }

    /// Small integers: sums are exact, so the comparison can be exact too.
    #[test]
    fn ragged_blocks_agree_with_the_triple_loop() {
        // The last three have a factor that is transposed first.
        let shapes = [(1, 1, 1), (300, 513, 7), (257, 40, 33), (5, 1025, 3)];
        for (m, n, k) in shapes.into_iter().chain([(1, 3, 256), (33, 529, 512), (9, 48, 1024)]) {
            let (a, b, c) = (integers(m * k, 7), integers(n * k, 5), integers(m * n, 3));
            let mut out = vec![0.0; m * n];
            let target = Out::new(&mut out, m, n);
            par_matmul(
                &target,
                Mat::new(&a, m, k),
                Mat::new(&b, n, k).t(),
                Store::Overwrite,
                Some(&c),
            );
            for i in 0..m {
                for j in 0..n {
                    let mut sum = c[i * n + j];
                    for p in 0..k {
                        sum += a[i * k + p] * b[j * k + p];
                    }
                    assert_eq!(out[i * n + j], sum, "({i}, {j}) of {m} x {n} x {k}");
                }
            }
        }
    }
}
