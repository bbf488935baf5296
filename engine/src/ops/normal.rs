//! Gaussian noise from Philox4x32-10.

use super::check;
use crate::{Buffer, Result};

/// `out[s, i] = mean + std * normal`, where the number is element `i` of the stream
/// `(seed, site, first_sample + s, iteration)` of [`crate::philox::Stream`].
#[derive(Debug)]
pub struct Normal<'a> {
    /// `[samples, per_sample]` f32, overwritten.
    pub out: &'a Buffer,
    /// Key of the generator.
    pub seed: u64,
    /// What the numbers are for.
    pub site: u32,
    /// Training iteration.
    pub iteration: u32,
    /// Index of the first sequence in the whole batch, so that micro-batches do not matter.
    pub first_sample: u32,
    /// Sequences.
    pub samples: usize,
    /// Numbers per sequence.
    pub per_sample: usize,
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub std: f32,
}

impl Normal<'_> {
    /// Extents and types.
    pub fn check(&self) -> Result<()> {
        check::floats("normal", "out", self.out, self.samples * self.per_sample)
    }
}
