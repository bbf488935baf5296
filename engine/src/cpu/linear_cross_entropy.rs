//! Vocabulary projection with cross-entropy.
//!
//! One pass of attention with an online softmax: queries are the hidden states, keys and values
//! the rows of the projection; only a tile of logits exists at a time. For the weight gradient
//! the softmax must be known first, so the exponentials of a block of tokens are kept, a bounded
//! number whatever the batch, and met once more.

mod kept;
mod softmax;
mod weight;

use super::math::dot;
use super::memory::{read, write};
use super::pool::for_each;
use super::scratch::Partials;
use crate::ops::LinearCrossEntropy;
use crate::{DeviceId, Error, Result};

/// Rows of the projection in one tile of logits.
const TILE: usize = 512;
/// Rows of the projection up to which a block of tokens is one task.
const SPLIT: usize = 7168;
/// Rows of a task where a row is little work.
const ROWS: usize = 32;
/// Numbers in the exponentials that are kept of one block of tokens (128 MiB).
const KEPT: usize = 1 << 25;

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
    let cut = Cut::new(vocab);
    let (rows, kept) = match gradients.weight {
        true => (cut.kept_rows(rows), kept::per_row(&cut)),
        false => (rows, 0),
    };
    rows * (kept + cut.splits * softmax::state_per_row(width, gradients.hidden)) * size_of::<f32>()
}

/// How the work is cut: by the extent of the vocabulary alone, so that results do not depend on
/// the number of threads.
#[derive(Clone, Copy)]
struct Cut {
    /// Rows of the projection.
    vocab: usize,
    /// Parts of the vocabulary.
    splits: usize,
    /// Rows of the projection in a part.
    share: usize,
    /// Tokens of a task.
    block: usize,
}

impl Cut {
    fn new(vocab: usize) -> Self {
        let splits = vocab.div_ceil(SPLIT);
        let block = if splits > 1 { 512 } else { 256 };
        Self { vocab, splits, share: vocab.div_ceil(splits.max(1)), block }
    }

    /// Tokens whose exponentials are kept at a time: whole blocks.
    fn kept_rows(&self, rows: usize) -> usize {
        let fit = KEPT / self.vocab.max(1) / self.block * self.block;
        fit.clamp(self.block, 4096).min(rows.max(1))
    }

    /// Rows of the projection of part `split`.
    fn part(&self, split: usize) -> std::ops::Range<usize> {
        (split * self.share).min(self.vocab)..((split + 1) * self.share).min(self.vocab)
    }

    /// Tiles of a part.
    fn tiles(&self) -> usize {
        self.share.div_ceil(TILE)
    }
}

struct Problem<'a> {
    hidden: &'a [f32],
    weight: &'a [f32],
    targets: &'a [i32],
    scale: f32,
    rows: usize,
    width: usize,
    cut: Cut,
}

impl<'a> Problem<'a> {
    /// The same for tokens `first..first + count` alone.
    fn tokens(&self, first: usize, count: usize) -> Problem<'a> {
        Problem {
            hidden: &self.hidden[first * self.width..(first + count) * self.width],
            targets: &self.targets[first..first + count],
            rows: count,
            ..*self
        }
    }

    fn hidden_row(&self, row: usize) -> &'a [f32] {
        &self.hidden[row * self.width..(row + 1) * self.width]
    }

    fn weight_row(&self, token: usize) -> &'a [f32] {
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
        cut: Cut::new(args.vocab),
    };
    if let Some(row) = problem.targets.iter().position(|&t| t >= args.vocab as i32) {
        let target = problem.targets[row];
        let detail = format!("target {target} at row {row}, vocabulary of {}", args.vocab);
        return Err(Error::Value { op: OP, detail });
    }
    let nll = write::<f32>(device, OP, args.token_nll)?;
    let lse = write::<f32>(device, OP, args.logsumexp)?;
    let mut d_hidden = args.d_hidden.map(|d| write::<f32>(device, OP, d)).transpose()?;
    match args.d_weight {
        None => softmax::run(&problem, lse, d_hidden, None, partials),
        Some(d_weight) => {
            let d_weight = write::<f32>(device, OP, d_weight)?;
            let at_once = problem.cut.kept_rows(args.rows);
            for first in (0..args.rows).step_by(at_once) {
                let count = at_once.min(args.rows - first);
                let problem = problem.tokens(first, count);
                let lse = &mut lse[first..first + count];
                let d_hidden = d_hidden
                    .as_deref_mut()
                    .map(|d| &mut d[first * args.width..(first + count) * args.width]);
                weight::run(&problem, lse, d_hidden, d_weight, partials);
            }
        }
    }
    token_losses(&problem, lse, nll);
    Ok(())
}

/// `nll = lse - <hidden, weight[target]>`.
fn token_losses(problem: &Problem<'_>, lse: &[f32], nll: &mut [f32]) {
    let blocks = nll.chunks_mut(ROWS).zip(lse.chunks(ROWS)).enumerate();
    for_each(blocks, |(block, (nll, lse))| {
        for ((nll, lse), row) in nll.iter_mut().zip(lse).zip(block * ROWS..) {
            *nll = match problem.target(row) {
                Some(t) => lse - dot(problem.hidden_row(row), problem.weight_row(t)),
                None => 0.0,
            };
        }
    });
}
