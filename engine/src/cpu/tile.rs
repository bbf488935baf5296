//! Products of matrices small enough to stay in a cache, without packing: what attention is
//! made of, where one extent is the size of a head and another a handful of rows.
//!
//! A tile of the product is kept in registers while one number of the left factor after the
//! other meets sixteen or thirty-two neighbouring ones of the right factor. Every element is
//! summed in the order of the inner index, whatever tile it falls into.

use super::lanes::{Lanes, WIDTH};
use super::matmul::Store;

/// The left factor: element `(i, p)` is `data[i * row + p * step]`.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    /// From element (0, 0) on.
    pub data: &'a [f32],
    /// Distance of neighbouring rows.
    pub row: usize,
    /// Distance of neighbours along the inner index.
    pub step: usize,
}

/// The right factor: element `(p, j)` is `data[j / 16 * panel + p * step + j % 16]`.
#[derive(Clone, Copy)]
pub struct Right<'a> {
    /// From element (0, 0) on.
    pub data: &'a [f32],
    /// Distance of one group of sixteen columns from the next.
    pub panel: usize,
    /// Distance of neighbours along the inner index.
    pub step: usize,
}

impl<'a> Right<'a> {
    /// A row-major matrix whose rows lie `stride` apart.
    pub fn rows(data: &'a [f32], stride: usize) -> Self {
        Self { data, panel: WIDTH, step: stride }
    }

    /// Panels of sixteen columns that [`transpose`] made of rows of length `depth`.
    pub fn panels(data: &'a [f32], depth: usize) -> Self {
        Self { data, panel: depth * WIDTH, step: WIDTH }
    }
}

/// Extents of a product.
#[derive(Clone, Copy)]
pub struct Extents {
    /// Rows of the product.
    pub rows: usize,
    /// Columns of the product, a multiple of sixteen.
    pub columns: usize,
    /// Terms of each sum.
    pub depth: usize,
}

/// `out (+)= a b`; the rows of `out` lie `stride` apart.
///
/// # Panics
/// If an extent reaches beyond a slice, or the columns are no multiple of sixteen.
pub fn product(
    out: &mut [f32],
    stride: usize,
    extents: Extents,
    a: Left<'_>,
    b: Right<'_>,
    store: Store,
) {
    let Extents { rows, columns, depth } = extents;
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(columns.is_multiple_of(WIDTH) && columns <= stride);
    assert!((rows - 1) * stride + columns <= out.len());
    if depth > 0 {
        assert!((rows - 1) * a.row + (depth - 1) * a.step < a.data.len());
        let last = (columns / WIDTH - 1) * b.panel + (depth - 1) * b.step;
        assert!(last + WIDTH <= b.data.len());
    }
    let job = Job { out: out.as_mut_ptr(), stride, extents, a, b, add: store == Store::Add };
    // SAFETY: extents checked above; `out` is borrowed mutably, so it overlaps neither factor.
    unsafe { run(job) }
}

dispatch! {
    unsafe fn run(job: Job<'_>) => run_with
}

/// # Safety
/// The extents lie within the slices, and the instructions of `V` exist.
#[inline(always)]
unsafe fn run_with<V: Lanes>(job: Job<'_>) {
    // SAFETY: the caller's promise. Sums take half of the registers.
    unsafe {
        match V::REGISTERS {
            32.. => job.run::<V, 8, 2>(),
            8.. => job.run::<V, 4, 1>(),
            _ => job.run::<V, 2, 1>(),
        }
    }
}

#[derive(Clone, Copy)]
struct Job<'a> {
    out: *mut f32,
    stride: usize,
    extents: Extents,
    a: Left<'a>,
    b: Right<'a>,
    add: bool,
}

impl Job<'_> {
    /// The product in tiles of up to `R` rows and `C` groups of columns.
    #[inline(always)]
    unsafe fn run<V: Lanes, const R: usize, const C: usize>(self) {
        let groups = self.extents.columns / WIDTH;
        let mut group = 0;
        while group + C <= groups {
            // SAFETY: these groups are in range.
            unsafe { self.column::<V, R, C>(group) };
            group += C;
        }
        while group < groups {
            // SAFETY: as above.
            unsafe { self.column::<V, R, 1>(group) };
            group += 1;
        }
    }

    #[inline(always)]
    unsafe fn column<V: Lanes, const R: usize, const C: usize>(self, group: usize) {
        let rows = self.extents.rows;
        let mut row = 0;
        // SAFETY: each arm takes rows that are left.
        unsafe {
            while row < rows {
                row += match rows - row {
                    8.. if R >= 8 => self.tile::<V, 8, C>(row, group),
                    4.. if R >= 4 => self.tile::<V, 4, C>(row, group),
                    2.. => self.tile::<V, 2, C>(row, group),
                    _ => self.tile::<V, 1, C>(row, group),
                };
            }
        }
    }

    /// Rows `row..row + R` of groups `group..group + C`; returns `R`.
    ///
    /// # Safety
    /// The tile lies within the extents, which lie within the slices.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const R: usize, const C: usize>(
        self,
        row: usize,
        group: usize,
    ) -> usize {
        let Self { out, stride, extents, a, b, add } = self;
        // SAFETY: extent: the caller's promise. Alignment: unaligned loads and stores of f32.
        // Aliasing: `out` comes from a mutable borrow. Instructions: those of the caller.
        unsafe {
            let mut sums = [[V::splat(0.0); C]; R];
            let mut left = a.data.as_ptr().add(row * a.row);
            let mut right = b.data.as_ptr().add(group * b.panel);
            for _ in 0..extents.depth {
                let mut columns = [V::splat(0.0); C];
                for (c, column) in columns.iter_mut().enumerate() {
                    *column = V::load(right.add(c * b.panel));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(*left.add(r * a.row));
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = x.mul_add(column, *sum);
                    }
                }
                // Wrapping: one step past the last element may leave the slice.
                left = left.wrapping_add(a.step);
                right = right.wrapping_add(b.step);
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (c, sum) in sums.into_iter().enumerate() {
                    let to = out.add((row + r) * stride + (group + c) * WIDTH);
                    if add { V::load(to).add(sum).store(to) } else { sum.store(to) }
                }
            }
        }
        R
    }
}

/// Turns sixteen rows into sixteen columns: `out[p * to + i] = rows[i * from + p]` for `p < depth`, with
/// `strides = (from, to)`. With `to = 16` the columns are a panel.
///
/// # Panics
/// If `depth` is no multiple of sixteen, or the rows or columns reach beyond a slice.
pub fn transpose(rows: &[f32], depth: usize, strides: (usize, usize), out: &mut [f32]) {
    let (from, to) = strides;
    assert!(depth.is_multiple_of(WIDTH));
    if depth > 0 {
        assert!((WIDTH - 1) * from + depth <= rows.len() && depth <= from);
        assert!((depth - 1) * to + WIDTH <= out.len() && WIDTH <= to);
    }
    // SAFETY: extents checked above.
    unsafe { transpose_rows(rows, depth, strides, out) }
}

dispatch! {
    unsafe fn transpose_rows(
        rows: &[f32],
        depth: usize,
        strides: (usize, usize),
        out: &mut [f32],
    ) => transpose_with
}

/// # Safety
/// The slices hold what `depth` and the strides say, and the instructions of `V` exist.
#[inline(always)]
unsafe fn transpose_with<V: Lanes>(
    rows: &[f32],
    depth: usize,
    (from, to): (usize, usize),
    out: &mut [f32],
) {
    for p in (0..depth).step_by(WIDTH) {
        // SAFETY: the caller has the instructions.
        let mut square = [unsafe { V::splat(0.0) }; WIDTH];
        for (i, row) in square.iter_mut().enumerate() {
            // SAFETY: `p + 16 <= depth`, so every row has sixteen numbers from `p` on.
            *row = unsafe { V::load(rows.as_ptr().add(i * from + p)) };
        }
        // Four perfect shuffles of the 256 numbers turn their row index into the column.
        for _ in 0..WIDTH.ilog2() {
            let (low, high) = square.split_at(WIDTH / 2);
            let mut shuffled = square;
            for ((pair, low), high) in shuffled.chunks_exact_mut(2).zip(low).zip(high) {
                // SAFETY: the caller has the instructions.
                pair.copy_from_slice(&unsafe { low.interleave(*high) });
            }
            square = shuffled;
        }
        for (i, column) in square.into_iter().enumerate() {
            // SAFETY: `p + i < depth`.
            unsafe { column.store(out.as_mut_ptr().add((p + i) * to)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integers(n: usize, step: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * step) % 13) as f32 - 6.0).collect()
    }

    /// The product by every set of instructions that this machine has.
    fn machines() -> Vec<unsafe fn(Job<'_>)> {
        let mut machines: Vec<unsafe fn(Job<'_>)> = vec![run, run_with::<crate::cpu::lanes::Plain>];
        #[cfg(target_arch = "x86_64")]
        if crate::cpu::simd::level() >= crate::cpu::simd::Level::Avx2 {
            machines.push(run_with::<crate::cpu::lanes::Pair>);
        }
        machines
    }

    /// Small integers: sums are exact, so the comparison can be exact too.
    #[test]
    fn tiles_agree_with_the_triple_loop() {
        for (rows, columns, depth) in [(1, 16, 1), (15, 48, 7), (8, 32, 0), (21, 80, 33)] {
            let (a, b) = (integers(rows * depth, 7), integers(depth * columns, 5));
            let old = integers(rows * columns, 3);
            let extents = Extents { rows, columns, depth };
            for run in machines() {
                let mut out = old.clone();
                // Stored by columns, to use both strides.
                let a = Left { data: &a, row: 1, step: rows };
                let b = Right::rows(&b, columns);
                let job = Job { out: out.as_mut_ptr(), stride: columns, extents, a, b, add: true };
                // SAFETY: the slices have these extents; `machines` knows the instructions.
                unsafe { run(job) };
                for (at, &x) in out.iter().enumerate() {
                    let (i, j) = (at / columns, at % columns);
                    let terms = (0..depth).map(|p| a.data[p * rows + i] * b.data[p * columns + j]);
                    assert_eq!(x, old[at] + terms.sum::<f32>(), "({i}, {j})");
                }
            }
        }
    }

    type Transpose = unsafe fn(&[f32], usize, (usize, usize), &mut [f32]);

    #[test]
    fn columns_are_rows_of_the_transpose() {
        let mut ways: Vec<Transpose> =
            vec![transpose_rows, transpose_with::<crate::cpu::lanes::Plain>];
        #[cfg(target_arch = "x86_64")]
        if crate::cpu::simd::level() >= crate::cpu::simd::Level::Avx2 {
            ways.push(transpose_with::<crate::cpu::lanes::Pair>);
        }
        let depth = 48;
        for (from, to) in [(depth, WIDTH), (depth + 5, WIDTH + 3)] {
            let rows: Vec<f32> = (0..from * WIDTH).map(|i| i as f32).collect();
            for way in &ways {
                let mut out = vec![-1.0; depth * to];
                // SAFETY: the lengths fit, and this machine has the instructions.
                unsafe { way(&rows, depth, (from, to), &mut out) };
                for (at, &x) in out.iter().enumerate() {
                    let (p, i) = (at / to, at % to);
                    assert_eq!(x, if i < WIDTH { rows[i * from + p] } else { -1.0 }, "({p}, {i})");
                }
            }
        }
    }
}
