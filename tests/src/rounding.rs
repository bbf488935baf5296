//! Where a framework that computes in bfloat16 rounds.

use ltm_engine::bf16;

/// What happens to an intermediate result that a framework would write to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Nothing: the reference.
    Exact,
    /// It is rounded to bfloat16, as PyTorch does between its kernels.
    Bf16,
}

impl Rounding {
    /// One number.
    pub fn of(self, x: f64) -> f64 {
        match self {
            Rounding::Exact => x,
            // Through f32, as an accumulator is.
            Rounding::Bf16 => bf16::from_f32(x as f32).to_f64(),
        }
    }

    /// Every number.
    pub fn all(self, mut values: Vec<f64>) -> Vec<f64> {
        values.iter_mut().for_each(|x| *x = self.of(*x));
        values
    }
}
