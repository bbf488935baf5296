//! Operations on integers.

/// Operations on 32-bit words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Int32 {
    Add,
    Sub,
    Mul,
    MulHiS,
    MulHiU,
    Mad,
    MadHiS,
    MadHiU,
    MinS,
    MinU,
    MaxS,
    MaxU,
    Neg,
    Abs,
    And,
    Or,
    Xor,
    Not,
    Cnot,
    Shl,
    ShrS,
    ShrU,
    BfeS,
    BfeU,
    Popc,
    Clz,
    Brev,
    BfindS,
    BfindU,
    BfindShiftS,
    BfindShiftU,
    Prmt,
    PrmtF4e,
    PrmtB4e,
    PrmtRc8,
    PrmtEcl,
    PrmtEcr,
    PrmtRc16,
    ShfLeftWrap,
    ShfLeftClamp,
    ShfRightWrap,
    ShfRightClamp,
    AddSat,
    SubSat,
    SadS,
    SadU,
    Mul24S,
    Mul24U,
    Mad24S,
    Mad24U,
    Dp4aS,
    Dp4aU,
}

/// Operations on 16-bit values in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Int16 {
    Add,
    Sub,
    Mul,
    MulHiS,
    MulHiU,
    Mad,
    MinS,
    MinU,
    MaxS,
    MaxU,
    Neg,
    Abs,
    Not,
    Cnot,
    Shl,
    ShrS,
    ShrU,
}

/// Operations on 64-bit values. Counts and positions are words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Int64 {
    Add,
    Sub,
    Mul,
    MulHiS,
    MulHiU,
    Mad,
    MadHiS,
    MadHiU,
    MinS,
    MinU,
    MaxS,
    MaxU,
    Neg,
    Abs,
    And,
    Or,
    Xor,
    Not,
    Cnot,
    Brev,
}

/// 64-bit shifts and fields: 64-bit value, word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift64 {
    Shl,
    ShrS,
    ShrU,
    BfeS,
    BfeU,
}

/// 64-bit value to a count in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count64 {
    Popc,
    Clz,
    BfindS,
    BfindU,
    BfindShiftS,
    BfindShiftU,
}

/// Division and remainder; a zero divisor is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divide {
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
}

/// Products of twice the width of their factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WideProduct {
    /// 32 x 32 bits to 64, plus a 64-bit addend.
    S32,
    /// As above, unsigned.
    U32,
}

/// Arithmetic that reads or writes the carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    Add,
    Sub,
    MadLoU,
    MadHiU,
    MadLoS,
    MadHiS,
}
