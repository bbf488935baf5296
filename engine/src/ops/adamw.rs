//! AdamW with decoupled weight decay (Loshchilov and Hutter, 2019), and the global-norm clip
//! that comes before it.

use super::check;
use crate::{Buffer, DType, Result};

/// Constants of one AdamW step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Number of this step, from 1; corrects the bias of the moments.
    pub number: u64,
}

/// Numbers that a device takes of a step.
pub const ADAMW_CONSTANTS: usize = 9;

impl AdamWStep {
    /// What a device takes of this step: the learning rate, `1 - rate * decay`, beta1,
    /// `1 - beta1`, beta2, `1 - beta2`, `1 - beta1^number`, `1 - beta2^number` and eps, each
    /// rounded once to f32. They lie in device memory, so that what was recorded of one step
    /// serves the next.
    ///
    /// # Errors
    /// [`crate::Error::Value`] for a step number of 0.
    pub fn constants(&self) -> Result<[f32; ADAMW_CONSTANTS]> {
        let Self { lr, beta1, beta2, eps, weight_decay, number } = *self;
        check::value("adamw", number > 0, || "step number 0, expected 1 or more".into())?;
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        Ok([
            lr,
            1.0 - lr * weight_decay,
            beta1,
            1.0 - beta1,
            beta2,
            1.0 - beta2,
            1.0 - beta1.powi(number),
            1.0 - beta2.powi(number),
            eps,
        ]
        .map(|x| x as f32))
    }
}

/// A range of the flat parameter vector with a weight decay of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWSegment {
    /// First element.
    pub offset: usize,
    /// Elements.
    pub len: usize,
    /// Whether `AdamWStep::weight_decay` applies (matrices) or not (gains).
    pub decay: bool,
}

/// `m, v` moments of `factor * gradients`; `p *= 1 - lr * decay`;
/// `p -= lr * m^ / (sqrt(v^) + eps)`. All tensors in one call. Nothing is done where the norm of
/// the gradients is not finite.
#[derive(Debug)]
pub struct AdamW<'a> {
    /// `[n]` f32, updated.
    pub params: &'a Buffer,
    /// `[n]` f32.
    pub gradients: &'a Buffer,
    /// `[n]` f32 first moment, updated.
    pub first_moment: &'a Buffer,
    /// `[n]` f32 second moment, updated.
    pub second_moment: &'a Buffer,
    /// `[n]` bf16, overwritten with the new parameters, rounded to nearest even: what the
    /// passes of a bf16 model read. `None`: none is kept.
    pub copy: Option<&'a Buffer>,
    /// `[2]` f64 as written by [`GlobalNorm`]; its factor scales the gradients. `None`: 1,
    /// whatever the norm.
    pub clip: Option<&'a Buffer>,
    /// Consecutive ranges that cover `0..n`.
    pub segments: &'a [AdamWSegment],
    /// `[9]` f32: [`AdamWStep::constants`].
    pub step: &'a Buffer,
}

impl AdamW<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "adamw";
        let n = self.params.len();
        check::floats(OP, "params", self.params, n)?;
        check::floats(OP, "gradients", self.gradients, n)?;
        check::floats(OP, "first_moment", self.first_moment, n)?;
        check::floats(OP, "second_moment", self.second_moment, n)?;
        check::floats(OP, "step", self.step, ADAMW_CONSTANTS)?;
        let mut end = 0;
        for segment in self.segments {
            check::value(OP, segment.offset == end, || {
                format!("a segment starts at {}, expected {end}", segment.offset)
            })?;
            end += segment.len;
        }
        check::value(OP, end == n, || format!("segments cover {end} of {n} parameters"))?;
        let mut outputs = vec![self.params, self.first_moment, self.second_moment];
        if let Some(copy) = self.copy {
            check::buffer(OP, "copy", copy, DType::BF16, n)?;
            outputs.push(copy);
        }
        if let Some(clip) = self.clip {
            check::buffer(OP, "clip", clip, DType::F64, 2)?;
            check::distinct(OP, &outputs, &[clip])?;
        }
        check::distinct(OP, &outputs, &[self.gradients, self.step])
    }
}

/// `out = [norm, factor]` with the L2 norm of all gradients and
/// `factor = min(1, limit / (norm + 1e-6))`, or 1 for a limit of 0.
#[derive(Debug)]
pub struct GlobalNorm<'a> {
    /// `[n]` f32.
    pub gradients: &'a Buffer,
    /// `[2]` f64, overwritten.
    pub out: &'a Buffer,
    /// Norm that is not exceeded after clipping; 0 disables.
    pub limit: f64,
}

impl GlobalNorm<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "global_norm";
        check::floats(OP, "gradients", self.gradients, self.gradients.len())?;
        check::buffer(OP, "out", self.out, DType::F64, 2)?;
        check::value(OP, self.limit >= 0.0, || format!("limit is {}", self.limit))?;
        check::distinct(OP, &[self.out], &[self.gradients])
    }
}
