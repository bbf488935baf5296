//! Vocabulary projection with cross-entropy.
//!
//! Without the weight gradient it is one pass of attention with an online softmax: queries are
//! the hidden states, keys and values the rows of the projection; only a tile of logits exists
//! at a time. With it, the softmax must be known before the weight gradient can be formed, so
//! the logits of a block of tokens are kept, a bounded number whatever the batch.

use super::linear::weight_gradient;
use super::math::{axpy, dot, exp, exp_sum, max};
use super::matmul::{Mat, Out, Store, matmul, par_matmul};
use super::memory::{read, write};
use super::parallel::Shared;
use super::pool::for_each;
use super::scratch::{Partials, with_local};
use crate::ops::LinearCrossEntropy;
use crate::{DeviceId, Error, Result};

/// Rows of the projection in one tile of logits.
const TILE: usize = 512;
/// Rows of the projection below which a token block is not split over tasks.
const SPLIT: usize = 8192;
/// Rows of a task where a row is little work.
const ROWS: usize = 32;
/// Numbers in the stored logits of one block of tokens (128 MiB).
const STORED: usize = 1 << 25;

/// Which gradients are computed beside the losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossGradients {
    /// With respect to the hidden states.
    pub hidden: bool,
    /// With respect to the projection.
    pub weight: bool,
}

/// Bytes of work memory that the losses of `rows` tokens take beside their arguments. The
/// device keeps it for later calls.
pub fn loss_scratch_bytes(
    rows: usize,
    width: usize,
    vocab: usize,
    gradients: LossGradients,
) -> usize {
    let numbers = match gradients.weight {
        true => stored_rows(rows, vocab) * vocab,
        false => vocab.div_ceil(SPLIT) * rows * kept_per_row(width, gradients.hidden),
    };
    numbers * size_of::<f32>()
}

/// Tokens whose logits are stored at a time.
fn stored_rows(rows: usize, vocab: usize) -> usize {
    (STORED / vocab / 64 * 64).clamp(64, 4096).min(rows.max(1))
}

/// What a task keeps of a row: maximum, sum, and the weighted sum of projection rows.
fn kept_per_row(width: usize, wants_gradient: bool) -> usize {
    STATISTICS + if wants_gradient { width } else { 0 }
}

struct Problem<'a> {
    hidden: &'a [f32],
    weight: &'a [f32],
    targets: &'a [i32],
    scale: f32,
    rows: usize,
    width: usize,
    vocab: usize,
}

impl Problem<'_> {
    fn hidden_row(&self, row: usize) -> &[f32] {
        &self.hidden[row * self.width..(row + 1) * self.width]
    }

    fn weight_row(&self, token: usize) -> &[f32] {
        &self.weight[token * self.width..(token + 1) * self.width]
    }

    /// The target of a row, unless it is ignored.
    fn target(&self, row: usize) -> Option<usize> {
        usize::try_from(self.targets[row]).ok()
    }
}

pub fn forward_backward(
    device: DeviceId,
    args: &LinearCrossEntropy<'_>,
    partials: &mut Partials,
) -> Result<()> {
    const OP: &str = "linear_cross_entropy";
    let problem = Problem {
        hidden: read(device, OP, args.hidden)?,
        weight: read(device, OP, args.weight)?,
        targets: read(device, OP, args.targets)?,
        scale: args.scale,
        rows: args.rows,
        width: args.width,
        vocab: args.vocab,
    };
    if let Some(row) = problem.targets.iter().position(|&t| t >= args.vocab as i32) {
        let target = problem.targets[row];
        let detail = format!("target {target} at row {row}, vocabulary of {}", args.vocab);
        return Err(Error::Value { op: OP, detail });
    }
    let nll = write::<f32>(device, OP, args.token_nll)?;
    let lse = write::<f32>(device, OP, args.logsumexp)?;
    let d_hidden = args.d_hidden.map(|d| write::<f32>(device, OP, d)).transpose()?;
    match args.d_weight {
        None => online(&problem, nll, lse, d_hidden, partials),
        Some(d_weight) => {
            let d_weight = write::<f32>(device, OP, d_weight)?;
            stored(&problem, nll, lse, d_hidden, d_weight, partials);
        }
    }
    Ok(())
}

/// `nll = lse - <hidden, weight[target]>`.
fn token_losses(problem: &Problem<'_>, first: usize, lse: &[f32], nll: &mut [f32]) {
    let blocks = nll.chunks_mut(ROWS).zip(lse.chunks(ROWS)).enumerate();
    for_each(blocks, |(block, (nll, lse))| {
        for ((nll, lse), row) in nll.iter_mut().zip(lse).zip(first + block * ROWS..) {
            *nll = match problem.target(row) {
                Some(t) => lse - dot(problem.hidden_row(row), problem.weight_row(t)),
                None => 0.0,
            };
        }
    });
}

/// What a task knows of one row after its share of the vocabulary.
const STATISTICS: usize = 2;

fn online(
    problem: &Problem<'_>,
    nll: &mut [f32],
    lse: &mut [f32],
    mut d_hidden: Option<&mut [f32]>,
    partials: &mut Partials,
) {
    let Problem { rows, width, vocab, scale, .. } = *problem;
    let splits = vocab.div_ceil(SPLIT);
    let block = if splits > 1 { 512 } else { 256 };
    let wants_gradient = d_hidden.is_some();
    // Per split and row.
    let sums = partials.floats(splits * rows * kept_per_row(width, wants_gradient));
    let (statistics, weighted) = sums.split_at_mut(splits * rows * STATISTICS);
    let (shared_statistics, shared_weighted) = (Shared::new(statistics), Shared::new(weighted));
    let blocks = rows.div_ceil(block);
    for_each(0..blocks * splits, |task| {
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
        let share = vocab.div_ceil(splits);
        let tokens = split * share..((split + 1) * share).min(vocab);
        online_share(problem, first, count, tokens, statistics, weighted);
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
    token_losses(problem, 0, lse, nll);
    if let Some(d_hidden) = &mut d_hidden {
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
}

/// One block of tokens against one share of the vocabulary.
fn online_share(
    problem: &Problem<'_>,
    first: usize,
    count: usize,
    tokens: std::ops::Range<usize>,
    statistics: &mut [f32],
    weighted: &mut [f32],
) {
    let width = problem.width;
    let hidden = Mat::new(&problem.hidden[first * width..], count, width);
    weighted.fill(0.0);
    for row in statistics.chunks_exact_mut(STATISTICS) {
        row.copy_from_slice(&[f32::NEG_INFINITY, 0.0]);
    }
    with_local(count * TILE, |memory| {
        for start in tokens.clone().step_by(TILE) {
            let size = TILE.min(tokens.end - start);
            let tile = &mut memory[..count * size];
            let weight = Mat::new(&problem.weight[start * width..], size, width);
            matmul(&Out::new(tile, count, size), hidden, weight.t(), Store::Overwrite);
            online_softmax(tile, statistics, weighted);
            if !weighted.is_empty() {
                let tile = Mat::new(tile, count, size);
                matmul(&Out::new(weighted, count, width), tile, weight, Store::Add);
            }
        }
    });
}

vectorized! {
    /// Logits to `e^(logit - max so far)`; rescales what was summed under a smaller maximum.
    fn online_softmax(tile: &mut [f32], statistics: &mut [f32], weighted: &mut [f32]) {
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

fn stored(
    problem: &Problem<'_>,
    nll: &mut [f32],
    lse: &mut [f32],
    mut d_hidden: Option<&mut [f32]>,
    d_weight: &mut [f32],
    partials: &mut Partials,
) {
    let Problem { rows, width, vocab, scale, .. } = *problem;
    let block = stored_rows(rows, vocab);
    let weight = Mat::new(problem.weight, vocab, width);
    let mut logits = std::mem::take(partials.logits());
    if logits.len() < block * vocab {
        logits.resize(block * vocab, 0.0);
    }
    for first in (0..rows).step_by(block) {
        let count = block.min(rows - first);
        let logits = &mut logits[..count * vocab];
        let hidden = Mat::new(&problem.hidden[first * width..], count, width);
        par_matmul(&Out::new(logits, count, vocab), hidden, weight.t(), Store::Overwrite, None);
        let lse = &mut lse[first..first + count];
        let blocks = logits.chunks_mut(ROWS * vocab).zip(lse.chunks_mut(ROWS)).enumerate();
        for_each(blocks, |(block, (logits, lse))| {
            let rows = logits.chunks_exact_mut(vocab).zip(lse).zip(first + block * ROWS..);
            for ((logits, lse), row) in rows {
                let target = problem.target(row);
                *lse = loss_gradient(logits, if target.is_some() { scale } else { 0.0 });
                if let Some(target) = target {
                    logits[target] -= scale;
                }
            }
        });
        token_losses(problem, first, lse, &mut nll[first..first + count]);
        let d_logits = Mat::new(logits, count, vocab);
        if let Some(d_hidden) = &mut d_hidden {
            let d_hidden = &mut d_hidden[first * width..(first + count) * width];
            let out = Out::new(d_hidden, count, width);
            par_matmul(&out, d_logits, weight, Store::Overwrite, None);
        }
        weight_gradient(d_weight, d_logits, hidden, (count, vocab, width), partials);
    }
    *partials.logits() = logits;
}

vectorized! {
    /// Logits to `scale * softmax` in place; returns the log of the denominator.
    fn loss_gradient(logits: &mut [f32], scale: f32) -> f32 {
        let top = max(logits);
        let sum = exp_sum(logits, top);
        let factor = scale / sum;
        logits.iter_mut().for_each(|p| *p *= factor);
        top + sum.ln()
    }
}
