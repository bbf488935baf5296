//! Matrix products of a warp. Fragments are laid out as PTX says; lane `4 g + t` holds row `g` (and
//! `g + 8`) of A and of the sum, and column `g` of B.
//!
//! Products are exact in f32 (bf16, f16 and tf32 have at most 11 bits), and each element is the
//! addend plus its products, added in ascending k with one f32 rounding each. Tensor cores add in
//! an order of their own and with fewer bits below the largest term.

use super::half::from_half;
use super::registers::{Registers, Words};
use super::simd::vectorized;
use crate::vm::inst::{Matrix, Slot};

/// A, 16 rows of k.
type Left = [[f32; 16]; 16];

/// B, k rows of 8 columns.
type Right = [[f32; 8]; 16];

#[inline(always)]
fn halves(matrix: Matrix, word: u32) -> (f32, f32) {
    match matrix {
        Matrix::Bf16K16 | Matrix::Bf16K8 => {
            (f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000))
        }
        _ => (from_half(word & 0xffff), from_half(word >> 16)),
    }
}

/// tf32 operands: the low bits of the register are not read.
#[inline(always)]
fn tf32(word: u32) -> f32 {
    f32::from_bits(word & 0xffff_e000)
}

#[inline(always)]
fn left_halves(matrix: Matrix, to: &mut Left, words: &Words, row: usize, column: usize) {
    for g in 0..8 {
        for t in 0..4 {
            let (low, high) = halves(matrix, words[4 * g + t]);
            to[g + row][2 * t + column] = low;
            to[g + row][2 * t + 1 + column] = high;
        }
    }
}

#[inline(always)]
fn right_halves(matrix: Matrix, to: &mut Right, words: &Words, row: usize) {
    for t in 0..4 {
        for g in 0..8 {
            let (low, high) = halves(matrix, words[4 * g + t]);
            to[2 * t + row][g] = low;
            to[2 * t + 1 + row][g] = high;
        }
    }
}

#[inline(always)]
fn left_words(to: &mut Left, words: &Words, row: usize, column: usize) {
    for g in 0..8 {
        for t in 0..4 {
            to[g + row][t + column] = tf32(words[4 * g + t]);
        }
    }
}

#[inline(always)]
fn right_words(to: &mut Right, words: &Words, row: usize) {
    for t in 0..4 {
        for g in 0..8 {
            to[t + row][g] = tf32(words[4 * g + t]);
        }
    }
}

/// `sum += a * b` over the first `depth` of k.
#[inline(always)]
fn multiply(sum: &mut [[f32; 8]; 16], a: &Left, b: &Right, depth: usize) {
    for (rows, a) in sum.chunks_exact_mut(4).zip(a.chunks_exact(4)) {
        let mut part = [[0f32; 8]; 4];
        part.copy_from_slice(rows);
        for k in 0..depth {
            for row in 0..4 {
                for column in 0..8 {
                    part[row][column] += a[row][k] * b[k][column];
                }
            }
        }
        rows.copy_from_slice(&part);
    }
}

#[inline(always)]
fn product(r: &mut Registers, f: Matrix, d: [Slot; 4], a: [Slot; 4], b: [Slot; 2], c: [Slot; 4]) {
    let mut left: Left = [[0.0; 16]; 16];
    let mut right: Right = [[0.0; 8]; 16];
    let depth = match f {
        Matrix::Bf16K16 | Matrix::F16K16 => {
            for (part, &slot) in a.iter().enumerate() {
                left_halves(f, &mut left, r.word(slot), 8 * (part % 2), 8 * (part / 2));
            }
            for (part, &slot) in b.iter().enumerate() {
                right_halves(f, &mut right, r.word(slot), 8 * part);
            }
            16
        }
        Matrix::Bf16K8 | Matrix::F16K8 => {
            left_halves(f, &mut left, r.word(a[0]), 0, 0);
            left_halves(f, &mut left, r.word(a[1]), 8, 0);
            right_halves(f, &mut right, r.word(b[0]), 0);
            8
        }
        Matrix::Tf32K8 => {
            for (part, &slot) in a.iter().enumerate() {
                left_words(&mut left, r.word(slot), 8 * (part % 2), 4 * (part / 2));
            }
            right_words(&mut right, r.word(b[0]), 0);
            right_words(&mut right, r.word(b[1]), 4);
            8
        }
        Matrix::Tf32K4 => {
            left_words(&mut left, r.word(a[0]), 0, 0);
            left_words(&mut left, r.word(a[1]), 8, 0);
            right_words(&mut right, r.word(b[0]), 0);
            4
        }
    };
    let mut sum = [[0f32; 8]; 16];
    for (part, &slot) in c.iter().enumerate() {
        let words = r.word(slot);
        for g in 0..8 {
            for t in 0..4 {
                sum[g + 8 * (part / 2)][2 * t + part % 2] = f32::from_bits(words[4 * g + t]);
            }
        }
    }
    multiply(&mut sum, &left, &right, depth);
    for (part, &slot) in d.iter().enumerate() {
        let mut out = [0; 32];
        for g in 0..8 {
            for t in 0..4 {
                let x = sum[g + 8 * (part / 2)][2 * t + part % 2];
                out[4 * g + t] = if x.is_nan() { 0x7fff_ffff } else { x.to_bits() };
            }
        }
        r.set_word(slot, &out, super::registers::FULL);
    }
}

vectorized! {
/// `mma.sync`, by the whole warp.
pub(super) fn mma(
    r: &mut Registers, f: Matrix, d: [Slot; 4], a: [Slot; 4], b: [Slot; 2], c: [Slot; 4],
) {
    match f {
        Matrix::Bf16K16 => product(r, Matrix::Bf16K16, d, a, b, c),
        other => product(r, other, d, a, b, c),
    }
}
}

/// `movmatrix`: an 8 x 8 matrix of 16-bit elements, transposed.
pub(super) fn transpose(r: &mut Registers, d: Slot, a: Slot) {
    let words = r.word(a);
    let element =
        |row: usize, column: usize| words[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff;
    let out = std::array::from_fn(|lane| {
        let (row, column) = (lane / 4, 2 * (lane % 4));
        element(column, row) | element(column + 1, row) << 16
    });
    r.set_word(d, &out, super::registers::FULL);
}
