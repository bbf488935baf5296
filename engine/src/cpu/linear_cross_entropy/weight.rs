//! The gradient of the projection from kept exponentials.

use super::super::linear::weight_gradient;
use super::super::math::{axpy, exp};
use super::super::matmul::{Mat, Out, Store, matmul};
use super::super::parallel::Shared;
use super::super::pool::for_each;
use super::super::scratch::{Partials, with_local};
use super::kept::Kept;
use super::{Problem, ROWS, TILE, softmax};

/// Losses and both gradients of tokens whose exponentials can be kept.
pub(super) fn run(
    problem: &Problem<'_>,
    lse: &mut [f32],
    d_hidden: Option<&mut [f32]>,
    d_weight: &mut [f32],
    partials: &mut Partials,
) {
    let mut memory = std::mem::take(partials.exponentials());
    let mut kept = Kept::new(problem.cut, problem.rows, &mut memory);
    softmax::run(problem, lse, d_hidden, Some(&mut kept), partials);
    if problem.cut.vocab <= TILE {
        of_one_tile(problem, &mut kept, d_weight, partials);
    } else {
        of_tiles(problem, &kept, d_weight);
    }
    *partials.exponentials() = memory;
}

/// A small vocabulary: there are too few rows of the projection to go round, so the tokens are
/// cut instead.
fn of_one_tile(
    problem: &Problem<'_>,
    kept: &mut Kept<'_>,
    d_weight: &mut [f32],
    partials: &mut Partials,
) {
    let Problem { rows, width, scale, cut, .. } = *problem;
    let (d_logits, sums) = kept.row_major();
    for_each(d_logits.chunks_mut(ROWS * cut.vocab).enumerate(), |(block, d_logits)| {
        for (d_logits, row) in d_logits.chunks_exact_mut(cut.vocab).zip(block * ROWS..) {
            match problem.target(row) {
                Some(target) => {
                    let factor = scale / sums.of(row);
                    d_logits.iter_mut().for_each(|p| *p *= factor);
                    d_logits[target] -= scale;
                }
                None => d_logits.fill(0.0),
            }
        }
    });
    let d_logits = Mat::new(d_logits, rows, cut.vocab);
    let hidden = Mat::new(problem.hidden, rows, width);
    weight_gradient(d_weight, d_logits, hidden, (rows, cut.vocab, width), partials);
}

/// A task has the rows of the projection of one tile. What turns the exponentials of a row into
/// probabilities is multiplied into its hidden state, which has fewer numbers.
fn of_tiles(problem: &Problem<'_>, kept: &Kept<'_>, d_weight: &mut [f32]) {
    let Problem { rows, width, scale, cut, .. } = *problem;
    let d_weight = Shared::new(d_weight);
    for_each(0..cut.splits * cut.tiles(), |task| {
        let (split, index) = (task / cut.tiles(), task % cut.tiles());
        let part = cut.part(split);
        let start = part.start + index * TILE;
        if start >= part.end {
            return;
        }
        let size = TILE.min(part.end - start);
        // SAFETY: tiles have rows of their own.
        let d_weight = unsafe { d_weight.part(start * width..(start + size) * width) };
        with_local(cut.block * width, |scaled| {
            for first in (0..rows).step_by(cut.block) {
                let count = cut.block.min(rows - first);
                let scaled = &mut scaled[..count * width];
                for (scaled, row) in scaled.chunks_exact_mut(width).zip(first..) {
                    let factor = factor(problem, kept, row, (split, index));
                    let hidden = problem.hidden_row(row);
                    scaled.iter_mut().zip(hidden).for_each(|(s, h)| *s = factor * h);
                }
                let tile = Mat::new(kept.tile((first, count), (start, size)), count, size);
                let scaled = Mat::new(scaled, count, width);
                matmul(&Out::new(d_weight, size, width), tile.t(), scaled, Store::Add);
            }
        });
        for row in 0..rows {
            if let Some(target) = problem.target(row).filter(|t| (start..start + size).contains(t))
            {
                let at = (target - start) * width;
                axpy(-scale, problem.hidden_row(row), &mut d_weight[at..at + width]);
            }
        }
    });
}

/// What turns the exponentials of a row in a tile into the gradient of its logits, but for that
/// of the target; 0 for a token that is ignored.
fn factor(problem: &Problem<'_>, kept: &Kept<'_>, row: usize, tile: (usize, usize)) -> f32 {
    let (top, sum) = kept.merged(row);
    match problem.target(row) {
        Some(_) => problem.scale * (exp(kept.top(row, tile) - top) / sum),
        None => 0.0,
    }
}
