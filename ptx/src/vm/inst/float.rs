//! Operations on floating-point numbers.

/// Rounding of a floating-point result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    Nearest,
    Zero,
    Down,
    Up,
}

/// Operations on f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float32 {
    Add,
    Sub,
    Mul,
    Fma,
    Div,
    Min,
    Max,
    MinNan,
    MaxNan,
    Neg,
    Abs,
    Copysign,
    Sqrt,
    Rcp,
    Rsqrt,
    Ex2,
    Lg2,
    Sin,
    Cos,
    Tanh,
}

/// Operations on f64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float64 {
    Add,
    Sub,
    Mul,
    Fma,
    Div,
    Min,
    Max,
    Neg,
    Abs,
    Copysign,
    Sqrt,
    Rcp,
    Rsqrt,
    /// `rcp.approx.ftz.f64` and `rsqrt.approx.ftz.f64`: the upper word is right to 20 bits.
    RcpApprox,
    RsqrtApprox,
}

/// Operations on f16 and bf16, one or two to a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Add,
    Sub,
    Mul,
    Fma,
    FmaRelu,
    Min,
    Max,
    MinNan,
    MaxNan,
    Neg,
    Abs,
    Ex2,
    Tanh,
}

/// Layout of a half operation's operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfType {
    F16,
    F16x2,
    Bf16,
    Bf16x2,
}
