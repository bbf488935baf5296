//! The online softmax over the vocabulary, and the gradient of the hidden states.

use super::super::math::{axpy, exp, exp_sum, max};
use super::super::matmul::{Mat, Out, Store, matmul};
use super::super::parallel::Shared;
use super::super::pool::for_each;
use super::super::scratch::{Partials, with_local};
use super::kept::{Keep, Kept};
use super::{Problem, ROWS, TILE};

/// What a task knows of one row after its part of the vocabulary: maximum and sum.
const STATISTICS: usize = 2;

/// Numbers that all parts of the vocabulary keep of a row: statistics, and the weighted sum of
/// projection rows.
pub(super) fn state_per_row(width: usize, wants_gradient: bool) -> usize {
    STATISTICS + if wants_gradient { width } else { 0 }
}

/// What a task leaves of its rows and its part of the vocabulary.
struct State<'a> {
    /// `[rows, STATISTICS]`.
    statistics: &'a mut [f32],
    /// `[rows, width]`, or nothing where no gradient is wanted.
    weighted: &'a mut [f32],
}

/// A task: tokens `first..first + count` and a part of the vocabulary.
#[derive(Clone, Copy)]
struct Task {
    first: usize,
    count: usize,
    split: usize,
}

/// Log-sum-exp of every row, the gradient of the hidden states where it is wanted, and the
/// exponentials where they are to be kept.
pub(super) fn run(
    problem: &Problem<'_>,
    lse: &mut [f32],
    d_hidden: Option<&mut [f32]>,
    mut kept: Option<&mut Kept<'_>>,
    partials: &mut Partials,
) {
    let Problem { rows, width, scale, cut, .. } = *problem;
    let (splits, block) = (cut.splits, cut.block);
    let wants_gradient = d_hidden.is_some();
    // Per split and row.
    let sums = partials.floats(splits * rows * state_per_row(width, wants_gradient));
    let (statistics, weighted) = sums.split_at_mut(splits * rows * STATISTICS);
    let (shared_statistics, shared_weighted) = (Shared::new(statistics), Shared::new(weighted));
    let keep = kept.as_deref_mut().map(Kept::share);
    for_each(0..rows.div_ceil(block) * splits, |task| {
        let (split, first) = (task % splits, task / splits * block);
        let count = block.min(rows - first);
        let at = split * rows + first;
        // SAFETY: each task has its own rows of its own split.
        let statistics =
            unsafe { shared_statistics.part(at * STATISTICS..(at + count) * STATISTICS) };
        let weighted = match wants_gradient {
            // SAFETY: as above.
            true => unsafe { shared_weighted.part(at * width..(at + count) * width) },
            false => &mut [],
        };
        let (task, state) = (Task { first, count, split }, State { statistics, weighted });
        match &keep {
            Some(keep) => online(problem, task, state, &mut [], Some(keep)),
            None => with_local(count * TILE, |memory| online(problem, task, state, memory, None)),
        }
    });
    let (statistics, weighted) = (&*statistics, &*weighted);
    let of = |row: usize, split: usize| {
        let at = (split * rows + row) * STATISTICS;
        (statistics[at], statistics[at + 1])
    };
    let merged = |row: usize| {
        let top = (0..splits).map(|s| of(row, s).0).fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = (0..splits).map(|s| of(row, s).1 * exp(of(row, s).0 - top)).sum();
        (top, sum)
    };
    for_each(lse.chunks_mut(ROWS).enumerate(), |(block, lse)| {
        for (lse, row) in lse.iter_mut().zip(block * ROWS..) {
            let (top, sum) = merged(row);
            *lse = top + sum.ln();
        }
    });
    if let Some(kept) = kept {
        (0..rows).for_each(|row| kept.set_merged(row, merged(row)));
    }
    let Some(d_hidden) = d_hidden else { return };
    for_each(d_hidden.chunks_mut(ROWS * width).enumerate(), |(block, d_hidden)| {
        for (d_hidden, row) in d_hidden.chunks_exact_mut(width).zip(block * ROWS..) {
            d_hidden.fill(0.0);
            let Some(target) = problem.target(row) else { continue };
            // Divided by the sum: through the log-sum-exp, its rounding would be magnified.
            let (top, sum) = merged(row);
            for split in 0..splits {
                let at = split * rows + row;
                let share = exp(of(row, split).0 - top) / sum;
                axpy(scale * share, &weighted[at * width..(at + 1) * width], d_hidden);
            }
            axpy(-scale, problem.weight_row(target), d_hidden);
        }
    });
}

/// The tokens of a task against its part of the vocabulary. Exponentials that are not kept are
/// only in `memory`, tile over tile.
fn online(
    problem: &Problem<'_>,
    task: Task,
    state: State<'_>,
    memory: &mut [f32],
    keep: Option<&Keep<'_>>,
) {
    let (width, State { statistics, weighted }) = (problem.width, state);
    let Task { first, count, split } = task;
    let hidden = Mat::new(&problem.hidden[first * width..], count, width);
    weighted.fill(0.0);
    for row in statistics.chunks_exact_mut(STATISTICS) {
        row.copy_from_slice(&[f32::NEG_INFINITY, 0.0]);
    }
    let part = problem.cut.part(split);
    for (index, start) in part.clone().step_by(TILE).enumerate() {
        let size = TILE.min(part.end - start);
        let tile = match keep {
            None => &mut memory[..count * size],
            // SAFETY: the tiles of a task are its own, and each is asked for once.
            Some(keep) => unsafe { keep.tile((first, count), (start, size)) },
        };
        let weight = Mat::new(&problem.weight[start * width..], size, width);
        matmul(&Out::new(tile, count, size), hidden, weight.t(), Store::Overwrite);
        exponentials(tile, statistics, weighted);
        if let Some(keep) = keep {
            // SAFETY: as above.
            let tops = unsafe { keep.tops((first, count), (split, index)) };
            for (top, state) in tops.iter_mut().zip(statistics.chunks_exact(STATISTICS)) {
                *top = state[0];
            }
        }
        if !weighted.is_empty() {
            let tile = Mat::new(tile, count, size);
            matmul(&Out::new(weighted, count, width), tile, weight, Store::Add);
        }
    }
}

vectorized! {
    /// Logits to `e^(logit - max so far)`; rescales what was summed under a smaller maximum.
    fn exponentials(tile: &mut [f32], statistics: &mut [f32], weighted: &mut [f32]) {
        let rows = statistics.len() / STATISTICS;
        let (size, width) = (tile.len() / rows, weighted.len() / rows);
        for (row, (logits, state)) in
            tile.chunks_exact_mut(size).zip(statistics.chunks_exact_mut(STATISTICS)).enumerate()
        {
            let top = max(logits);
            if top > state[0] {
                let shrink = exp(state[0] - top);
                state[0] = top;
                state[1] *= shrink;
                weighted[row * width..(row + 1) * width].iter_mut().for_each(|w| *w *= shrink);
            }
            state[1] += exp_sum(logits, state[0]);
        }
    }
}
