//! Conversions.

use super::Round;

/// Scalar types that `cvt` and `testp` know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    U8,
    S8,
    U16,
    S16,
    U32,
    S32,
    U64,
    S64,
    F16,
    Bf16,
    F32,
    F64,
}

/// A conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convert {
    /// Type of the result.
    pub to: Scalar,
    /// Type of the source.
    pub from: Scalar,
    /// How a result that is not exact is rounded; for a float result of a float of the same type, and
    /// for an integer result, whether to an integer is `integral`.
    pub round: Round,
    /// Round a float to an integer (`.rni` and the like).
    pub integral: bool,
    /// Clamp to the range of the result ([0, 1] for floats).
    pub saturate: bool,
    /// Negative results become zero (`.relu`).
    pub relu: bool,
    /// Subnormal f32 become zero.
    pub flush: bool,
    /// The result's register is 64 bits wide.
    pub wide_to: bool,
    /// The source's register is 64 bits wide.
    pub wide_from: bool,
}

/// Two f32 packed into a word as halves; the first operand is the upper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvertPair {
    /// bf16 rather than f16.
    pub brain: bool,
    /// Toward zero rather than nearest.
    pub truncate: bool,
    /// Negative results become zero.
    pub relu: bool,
}
