//! Decoded instructions: no text, registers as slots of typed files.

use super::ast::Space;
use super::memory::Atomic;

/// Index into one of a warp's register files: 32-bit words (which also hold 16-bit values, zero
/// extended), 64-bit doubles, or predicates; which one is the instruction's to know.
pub type Slot = u16;

/// No register.
pub const NONE: Slot = Slot::MAX;

/// `cp.async.wait_all`, as a number of groups that may stay pending.
pub const NOTHING_LEFT: u32 = u32::MAX;

/// What an instruction counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    Integer,
    Float32,
    Float64,
    Special,
    Control,
    Memory,
    Exchange,
    Matrix,
}

/// Number of classes.
pub const CLASSES: usize = 8;

/// One instruction, ready to run.
#[derive(Clone, Debug)]
pub struct Inst {
    /// Predicate that must hold, or [`NONE`].
    pub guard: Slot,
    /// The guard must not hold.
    pub negated: bool,
    /// What it counts as.
    pub class: Class,
    /// Operations of one lane for the FLOP counters.
    pub flops: u16,
    /// What it does.
    pub op: Op,
}

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

/// Comparison of a `setp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Unordered forms: also true where an operand is NaN.
    Equ,
    Neu,
    Ltu,
    Leu,
    Gtu,
    Geu,
    /// Both are numbers.
    Num,
    /// One is NaN.
    Nan,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareType {
    S16,
    /// 16-bit values are zero extended, so this serves u16 and b16 also.
    U32,
    S32,
    U64,
    S64,
    F32,
    F32Ftz,
    F64,
    F16,
    Bf16,
}

/// How a `setp` joins its comparison with a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    None,
    And,
    Or,
    Xor,
}

/// Logic on predicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    And,
    Or,
    Xor,
}

/// A predicate operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pred {
    /// Its slot.
    pub slot: Slot,
    /// It is read negated.
    pub negated: bool,
}

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

/// What `testp` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Finite,
    Infinite,
    Number,
    NotANumber,
    Normal,
    Subnormal,
}

/// An address: a register of one of two files, plus bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Slot of the base (a constant where there is no register).
    pub base: Slot,
    /// The base is 64 bits wide.
    pub wide: bool,
    /// Bytes added.
    pub offset: i32,
}

/// Where an access goes: a state space, or a generic address that says so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    In(Space),
    Generic,
}

/// Elements of a load or store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elements {
    /// Bytes of one: 1, 2, 4 or 8.
    pub bytes: u8,
    /// How many: 1, 2 or 4.
    pub count: u8,
    /// Sign extended into its register.
    pub signed: bool,
    /// Registers are 64 bits wide.
    pub wide: bool,
    /// Registers are 16 bits wide.
    pub short: bool,
}

/// Which lane a shuffle reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    All,
    Any,
    Uniform,
    Ballot,
}

/// A reduction over lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redux {
    Add,
    MinS,
    MinU,
    MaxS,
    MaxU,
    And,
    Or,
    Xor,
}

/// Reduction of a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarrierResult {
    None,
    Popc,
    And,
    Or,
}

/// Shape and element type of a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    Bf16K16,
    Bf16K8,
    F16K16,
    F16K8,
    Tf32K8,
    Tf32K4,
}

/// What an instruction does.
#[derive(Clone, Debug)]
pub enum Op {
    Int32 {
        f: Int32,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Lop3 {
        lut: u8,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Bfi32 {
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
        e: Slot,
    },
    Bfi64 {
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
        e: Slot,
    },
    Int16 {
        f: Int16,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Int64 {
        f: Int64,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Shift64 {
        f: Shift64,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Count64 {
        f: Count64,
        d: Slot,
        a: Slot,
    },
    Divide {
        f: Divide,
        remainder: bool,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideProduct {
        f: WideProduct,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    WideProduct16 {
        signed: bool,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Carry32 {
        f: Carry,
        reads: bool,
        writes: bool,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Carry64 {
        f: Carry,
        reads: bool,
        writes: bool,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Float32 {
        f: Float32,
        flush: bool,
        saturate: bool,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Directed32 {
        f: Float32,
        round: Round,
        flush: bool,
        saturate: bool,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Float64 {
        f: Float64,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Half {
        f: Half,
        ty: HalfType,
        saturate: bool,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Set {
        ty: CompareType,
        cmp: Compare,
        combine: Combine,
        p: Pred,
        d: Slot,
        not: Slot,
        a: Slot,
        b: Slot,
    },
    SetWord {
        ty: CompareType,
        cmp: Compare,
        combine: Combine,
        p: Pred,
        d: Slot,
        one: u32,
        a: Slot,
        b: Slot,
    },
    Select32 {
        d: Slot,
        a: Slot,
        b: Slot,
        p: Pred,
    },
    Select64 {
        d: Slot,
        a: Slot,
        b: Slot,
        p: Pred,
    },
    SelectSign {
        float: bool,
        wide: bool,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Logic {
        f: Logic,
        d: Slot,
        a: Pred,
        b: Pred,
    },
    MovePred {
        d: Slot,
        a: Pred,
    },
    Test {
        f: Test,
        wide: bool,
        d: Slot,
        a: Slot,
    },
    Convert {
        f: Convert,
        d: Slot,
        a: Slot,
    },
    ConvertPair {
        f: ConvertPair,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    ConvertTf32 {
        d: Slot,
        a: Slot,
        relu: bool,
    },
    Move32 {
        d: Slot,
        a: Slot,
    },
    Move64 {
        d: Slot,
        a: Slot,
    },
    Join32 {
        d: Slot,
        low: Slot,
        high: Slot,
    },
    Split32 {
        low: Slot,
        high: Slot,
        a: Slot,
    },
    Join64 {
        d: Slot,
        low: Slot,
        high: Slot,
    },
    Split64 {
        low: Slot,
        high: Slot,
        a: Slot,
    },
    Join4 {
        d: Slot,
        parts: [Slot; 4],
    },
    Split4 {
        parts: [Slot; 4],
        a: Slot,
    },
    Clock {
        d: Slot,
        wide: bool,
    },
    ToGeneric {
        d: Slot,
        a: Slot,
        space: Space,
    },
    FromGeneric {
        d: Slot,
        a: Slot,
        space: Space,
    },
    IsSpace {
        d: Slot,
        a: Slot,
        space: Space,
    },
    Load {
        place: Place,
        elements: Elements,
        address: Address,
        d: [Slot; 4],
    },
    Store {
        place: Place,
        elements: Elements,
        address: Address,
        a: [Slot; 4],
    },
    Atomic {
        f: Atomic,
        place: Place,
        address: Address,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    CopyAsync {
        to: Address,
        from: Address,
        bytes: u8,
        source: Slot,
    },
    CopyCommit,
    CopyWait {
        pending: u32,
    },
    LoadMatrix {
        count: u8,
        transpose: bool,
        address: Address,
        d: [Slot; 4],
    },
    TransposeMatrix {
        d: Slot,
        a: Slot,
    },
    Mma {
        f: Matrix,
        d: [Slot; 4],
        a: [Slot; 4],
        b: [Slot; 2],
        c: [Slot; 4],
    },
    Shuffle {
        f: Shuffle,
        d: Slot,
        p: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
        members: Slot,
    },
    Vote {
        f: Vote,
        d: Slot,
        p: Pred,
        members: Slot,
    },
    ActiveMask {
        d: Slot,
    },
    MatchAny {
        wide: bool,
        d: Slot,
        a: Slot,
        members: Slot,
    },
    MatchAll {
        wide: bool,
        d: Slot,
        p: Slot,
        a: Slot,
        members: Slot,
    },
    Redux {
        f: Redux,
        d: Slot,
        a: Slot,
        members: Slot,
    },
    Elect {
        d: Slot,
        p: Slot,
        members: Slot,
    },
    WarpSync {
        members: Slot,
    },
    Branch {
        target: u32,
        meet: u32,
    },
    Exit,
    Trap,
    /// `aligned`: all lanes of the warp must arrive together. `arrive`: without waiting.
    Barrier {
        id: Slot,
        threads: Slot,
        arrive: bool,
        result: BarrierResult,
        d: Slot,
        p: Pred,
    },
    Nothing,
}
