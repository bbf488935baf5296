//! Exponentials of a block of tokens, kept for the weight gradient.

use super::super::parallel::Shared;
use super::Cut;

/// Numbers kept beside the exponentials of a row: its maximum and sum over the vocabulary.
const MERGED: usize = 2;

/// Numbers kept of a row.
pub(super) fn per_row(cut: &Cut) -> usize {
    cut.vocab + cut.splits * cut.tiles() + MERGED
}

/// The exponentials of `rows` tokens, tile by tile: those of a task's tokens for the rows of the
/// projection in a tile lie together, `[tokens, tile]`. Each is `e^(logit - top)` with the
/// largest logit that its row had met in its part of the vocabulary up to that tile.
pub(super) struct Kept<'m> {
    cut: Cut,
    rows: usize,
    /// `[rows * vocab]` in tiles.
    tiles: &'m mut [f32],
    /// `[splits, tiles, rows]`: the `top` of each tile.
    tops: &'m mut [f32],
    /// `[rows, 2]`: maximum and sum over the vocabulary.
    merged: &'m mut [f32],
}

/// Parts of [`Kept`] for tasks to write to.
pub(super) struct Keep<'a> {
    cut: Cut,
    rows: usize,
    tiles: Shared<'a, f32>,
    tops: Shared<'a, f32>,
}

impl<'m> Kept<'m> {
    /// In `memory`, which grows to what is needed.
    pub(super) fn new(cut: Cut, rows: usize, memory: &'m mut Vec<f32>) -> Self {
        if memory.len() < rows * per_row(&cut) {
            memory.resize(rows * per_row(&cut), 0.0);
        }
        let (tiles, rest) = memory.split_at_mut(rows * cut.vocab);
        let (tops, rest) = rest.split_at_mut(rows * cut.splits * cut.tiles());
        Self { cut, rows, tiles, tops, merged: &mut rest[..rows * MERGED] }
    }

    /// For tasks.
    pub(super) fn share(&mut self) -> Keep<'_> {
        let (tiles, tops) = (Shared::new(self.tiles), Shared::new(self.tops));
        Keep { cut: self.cut, rows: self.rows, tiles, tops }
    }

    /// Sets maximum and sum of a row over the vocabulary.
    pub(super) fn set_merged(&mut self, row: usize, (top, sum): (f32, f32)) {
        self.merged[row * MERGED..][..MERGED].copy_from_slice(&[top, sum]);
    }

    /// Maximum and sum of a row over the vocabulary.
    pub(super) fn merged(&self, row: usize) -> (f32, f32) {
        (self.merged[row * MERGED], self.merged[row * MERGED + 1])
    }

    /// What the exponentials of `row` in a tile were taken relative to.
    pub(super) fn top(&self, row: usize, (split, tile): (usize, usize)) -> f32 {
        self.tops[(split * self.cut.tiles() + tile) * self.rows + row]
    }

    /// Exponentials `[tokens, tile]` of the tokens of a task for rows `start..start + size` of
    /// the projection.
    pub(super) fn tile(
        &self,
        (first, count): (usize, usize),
        (start, size): (usize, usize),
    ) -> &[f32] {
        &self.tiles[first * self.cut.vocab + count * start..][..count * size]
    }

    /// All exponentials, to be changed in place, and their sums, where the vocabulary is one
    /// tile: they are row-major then, and relative to the maximum of their row.
    pub(super) fn row_major(&mut self) -> (&mut [f32], Sums<'_>) {
        (self.tiles, Sums { merged: self.merged })
    }
}

/// Sums of exponentials, by row.
pub(super) struct Sums<'a> {
    merged: &'a [f32],
}

impl Sums<'_> {
    /// That of `row`.
    pub(super) fn of(&self, row: usize) -> f32 {
        self.merged[row * MERGED + 1]
    }
}

impl<'a> Keep<'a> {
    /// [`Kept::tile`], to be written.
    ///
    /// # Safety
    /// No other reference to this tile may live at the same time.
    pub(super) unsafe fn tile(
        &self,
        (first, count): (usize, usize),
        (start, size): (usize, usize),
    ) -> &'a mut [f32] {
        let at = first * self.cut.vocab + count * start;
        // SAFETY: tiles of other tokens or rows of the projection do not overlap this one; this
        // one is the caller's promise.
        unsafe { self.tiles.part(at..at + count * size) }
    }

    /// [`Kept::top`] of the rows of a task, to be written.
    ///
    /// # Safety
    /// As for [`Keep::tile`].
    pub(super) unsafe fn tops(
        &self,
        (first, count): (usize, usize),
        (split, tile): (usize, usize),
    ) -> &'a mut [f32] {
        let at = (split * self.cut.tiles() + tile) * self.rows + first;
        // SAFETY: as above.
        unsafe { self.tops.part(at..at + count) }
    }
}
