//! Where the sequences of an evaluation come from.

use crate::Result;
use crate::data::Loader;

/// Sequences by number.
pub trait Sequences {
    /// Replaces the contents of `tokens` and `targets` by these windows, each
    /// `[windows.len(), T]` with the T of the evaluation. Negative targets are not scored.
    ///
    /// # Errors
    /// If a window cannot be read.
    fn read(&self, windows: &[u64], tokens: &mut Vec<i32>, targets: &mut Vec<i32>) -> Result<()>;
}

impl Sequences for Loader {
    fn read(&self, windows: &[u64], tokens: &mut Vec<i32>, targets: &mut Vec<i32>) -> Result<()> {
        Ok(self.read_windows(windows, tokens, targets)?)
    }
}

impl<S: Sequences + ?Sized> Sequences for &S {
    fn read(&self, windows: &[u64], tokens: &mut Vec<i32>, targets: &mut Vec<i32>) -> Result<()> {
        (**self).read(windows, tokens, targets)
    }
}

/// Windows of one length, to be scored together.
pub struct Portion<'a> {
    /// Where they come from.
    pub source: Box<dyn Sequences + 'a>,
    /// Their T: targets of a window, those counted that are not scored.
    pub seq: usize,
    /// Their numbers.
    pub windows: Vec<u64>,
}
