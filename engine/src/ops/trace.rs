//! What a pass found of each sequence, kept on the device until somebody asks.

use super::check;
use crate::{Buffer, DType, Result};

/// With `r = step[s]`: `trace[r][0][s]` takes the sum of the token losses of sequence `s`, in f64
/// and in the order of its tokens, `trace[r][1][s]` its KL; then `step[s] = r + 1`.
#[derive(Debug)]
pub struct Trace<'a> {
    /// `[samples * seq]` f32 nats.
    pub token_nll: &'a Buffer,
    /// `[samples]` f64 nats.
    pub kl: &'a Buffer,
    /// `[samples]` i32: the row that each sequence writes, below `rows`; counted up.
    pub step: &'a Buffer,
    /// `[rows * 2 * samples]` f64, of which each sequence overwrites two numbers.
    pub trace: &'a Buffer,
    /// Sequences.
    pub samples: usize,
    /// Tokens of a sequence.
    pub seq: usize,
    /// Steps of the trace.
    pub rows: usize,
}

impl Trace<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "trace";
        let Self { samples, seq, rows, .. } = *self;
        check::floats(OP, "token_nll", self.token_nll, samples.saturating_mul(seq))?;
        check::buffer(OP, "kl", self.kl, DType::F64, samples)?;
        check::integers(OP, "step", self.step, samples)?;
        let numbers = rows.saturating_mul(2).saturating_mul(samples);
        check::buffer(OP, "trace", self.trace, DType::F64, numbers)?;
        check::distinct(OP, &[self.step, self.trace], &[self.token_nll, self.kl])
    }
}
