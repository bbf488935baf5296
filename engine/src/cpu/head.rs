//! Copies of one attention head in the layouts that the products of [`tile`](super::tile)
//! read (rows padded with zeros to a multiple of sixteen, and panels), and back.

use std::ops::Range;

use super::lanes::{Lanes, WIDTH};
use super::matmul::Store;
use super::parallel::Shared;
use super::tile::transpose;
use crate::rope::{Angles, RopeTable};

/// Where a head lies among packed tokens.
#[derive(Clone, Copy)]
pub struct Place {
    /// Its first number of its first token.
    pub first: usize,
    /// Distance of neighbouring tokens.
    pub stride: usize,
    /// Numbers per token.
    pub head_dim: usize,
}

/// The rotation of a copy.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// Angles by position.
    pub table: &'a RopeTable,
    /// Row of the table that belongs to the head's first token.
    pub first: usize,
    /// Factor of the copy.
    pub scale: f32,
}

impl<'a> Turn<'a> {
    fn angles(&self, token: usize) -> Angles<'a> {
        self.table.row(self.first + token)
    }
}

/// Length of a row of `n` numbers after padding.
pub fn padded(n: usize) -> usize {
    n.next_multiple_of(WIDTH)
}

/// Copies tokens `range`, rotated, to rows of [`padded`] length; rows of `out` beyond them
/// become zero.
pub fn load_rows(
    from: &[f32],
    place: Place,
    range: Range<usize>,
    turn: Option<Turn<'_>>,
    out: &mut [f32],
) {
    // SAFETY: asks nothing beyond the instructions.
    unsafe { load(from, place, range, turn, out) }
}

dispatch! {
    unsafe fn load(
        from: &[f32],
        place: Place,
        range: Range<usize>,
        turn: Option<Turn<'_>>,
        out: &mut [f32],
    ) => load_with
}

/// # Safety
/// The instructions of `V` exist.
#[inline(always)]
unsafe fn load_with<V: Lanes>(
    from: &[f32],
    place: Place,
    range: Range<usize>,
    turn: Option<Turn<'_>>,
    out: &mut [f32],
) {
    let (d, length) = (place.head_dim, padded(place.head_dim));
    let (rows, rest) = out.split_at_mut(range.len() * length);
    for (token, row) in range.zip(rows.chunks_exact_mut(length)) {
        let at = place.first + token * place.stride;
        let (row, padding) = row.split_at_mut(d);
        match turn {
            // SAFETY: the caller has the instructions.
            Some(turn) => unsafe {
                let (from, angles) = (&from[at..at + d], turn.angles(token));
                turn_with::<V, false>(from, row, angles, turn.scale, Store::Overwrite);
            },
            None => row.copy_from_slice(&from[at..at + d]),
        }
        padding.fill(0.0);
    }
    rest.fill(0.0);
}

/// Puts rows of [`padded`] length, turned back, over tokens `range`, or adds them.
///
/// # Safety
/// Nothing else may touch these tokens of this head at the same time.
pub unsafe fn store_rows(
    rows: &[f32],
    to: Shared<'_, f32>,
    place: Place,
    range: Range<usize>,
    turn: Option<Turn<'_>>,
    mode: Store,
) {
    // SAFETY: the caller's promise.
    unsafe { store(rows, to, place, range, turn, mode) }
}

dispatch! {
    unsafe fn store(
        rows: &[f32],
        to: Shared<'_, f32>,
        place: Place,
        range: Range<usize>,
        turn: Option<Turn<'_>>,
        mode: Store,
    ) => store_with
}

/// # Safety
/// As for [`store_rows`], and the instructions of `V` exist.
#[inline(always)]
unsafe fn store_with<V: Lanes>(
    rows: &[f32],
    to: Shared<'_, f32>,
    place: Place,
    range: Range<usize>,
    turn: Option<Turn<'_>>,
    mode: Store,
) {
    let d = place.head_dim;
    for (token, row) in range.zip(rows.chunks_exact(padded(d))) {
        let at = place.first + token * place.stride;
        // SAFETY: the caller's promise.
        let to = unsafe { to.part(at..at + d) };
        match turn {
            // SAFETY: the caller has the instructions.
            Some(turn) => unsafe {
                turn_with::<V, true>(&row[..d], to, turn.angles(token), turn.scale, mode);
            },
            None if mode == Store::Add => to.iter_mut().zip(row).for_each(|(to, x)| *to += x),
            None => to.copy_from_slice(&row[..d]),
        }
    }
}

/// [`rotate`](crate::rope::rotate), or `BACK` its transpose, with the swap of neighbours as
/// one shuffle.
///
/// # Safety
/// The instructions of `V` exist.
#[inline(always)]
unsafe fn turn_with<V: Lanes, const BACK: bool>(
    x: &[f32],
    out: &mut [f32],
    (cos, sin): Angles<'_>,
    scale: f32,
    mode: Store,
) {
    assert!(out.len() == x.len() && cos.len() == x.len() && sin.len() == x.len());
    let (scale_sin, add) = (if BACK { -scale } else { scale }, mode == Store::Add);
    let whole = x.len() / WIDTH * WIDTH;
    for i in (0..whole).step_by(WIDTH) {
        // SAFETY: all four slices have sixteen numbers from `i` on; f32 alignment; `out` is
        // borrowed mutably. The caller has the instructions.
        unsafe {
            let (at, to) = (V::load(x.as_ptr().add(i)), out.as_mut_ptr().add(i));
            let cos = V::load(cos.as_ptr().add(i)).mul(V::splat(scale));
            let sin = V::load(sin.as_ptr().add(i)).mul(V::splat(scale_sin));
            let turned = at.swap_pairs().mul_add(sin, at.mul(cos));
            if add { V::load(to).add(turned).store(to) } else { turned.store(to) }
        }
    }
    for i in whole..x.len() {
        let turned = x[i] * (cos[i] * scale) + x[i ^ 1] * (sin[i] * scale_sin);
        out[i] = if add { out[i] + turned } else { turned };
    }
}

/// Turns rows of `length` numbers, a multiple of sixteen of them, into panels.
pub fn rows_to_panels(rows: &[f32], length: usize, panels: &mut [f32]) {
    let size = WIDTH * length;
    for (rows, panel) in rows.chunks_exact(size).zip(panels.chunks_exact_mut(size)) {
        transpose(rows, length, (length, WIDTH), panel);
    }
}
