//! bfloat16, and where a framework that computes in it rounds.

/// Bits of the nearest bfloat16, ties to even.
pub fn bf16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) as u16
}

/// The number that bits of bfloat16 stand for.
pub fn from_bf16(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

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
            Rounding::Bf16 => from_bf16(bf16_bits(x as f32)) as f64,
        }
    }

    /// Every number.
    pub fn all(self, mut values: Vec<f64>) -> Vec<f64> {
        values.iter_mut().for_each(|x| *x = self.of(*x));
        values
    }
}
