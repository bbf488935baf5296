//! Read-modify-write operations of `atom` and `red`.

/// What is done to the old value and the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtomicOp {
    /// Sum; wraps for integers.
    Add,
    /// Lesser; for floats the number if the other is NaN.
    Min,
    /// Greater; for floats the number if the other is NaN.
    Max,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// The operand.
    Exchange,
    /// The operand if the old value equals the comparand, else the old value.
    CompareExchange,
    /// `old >= operand ? 0 : old + 1`, unsigned.
    Increment,
    /// `old == 0 || old > operand ? operand : old - 1`, unsigned.
    Decrement,
}

/// How the bits are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AtomicType {
    U32,
    S32,
    F32,
    U64,
    S64,
    F64,
}

impl AtomicType {
    /// Bytes of the value.
    pub const fn size(self) -> u32 {
        match self {
            AtomicType::U32 | AtomicType::S32 | AtomicType::F32 => 4,
            AtomicType::U64 | AtomicType::S64 | AtomicType::F64 => 8,
        }
    }
}

/// An atomic operation on a type. Bitwise operations take the unsigned type of the width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Atomic {
    /// What is done.
    pub op: AtomicOp,
    /// How the bits are read.
    pub ty: AtomicType,
}

impl Atomic {
    /// The new value. 32-bit values lie in the low half, and the high half of the result is zero.
    /// `compare` matters to [`AtomicOp::CompareExchange`] alone.
    pub fn apply(self, old: u64, operand: u64, compare: u64) -> u64 {
        match self.ty {
            AtomicType::U32 => unsigned(self.op, old as u32 as u64, operand as u32 as u64, {
                compare as u32 as u64
            }) as u32 as u64,
            AtomicType::U64 => unsigned(self.op, old, operand, compare),
            AtomicType::S32 => match self.op {
                AtomicOp::Min => (old as i32).min(operand as i32) as u32 as u64,
                AtomicOp::Max => (old as i32).max(operand as i32) as u32 as u64,
                op => Atomic { op, ty: AtomicType::U32 }.apply(old, operand, compare),
            },
            AtomicType::S64 => match self.op {
                AtomicOp::Min => (old as i64).min(operand as i64) as u64,
                AtomicOp::Max => (old as i64).max(operand as i64) as u64,
                op => unsigned(op, old, operand, compare),
            },
            AtomicType::F32 => {
                let (a, b) = (f32::from_bits(old as u32), f32::from_bits(operand as u32));
                let new = match self.op {
                    AtomicOp::Add => a + b,
                    AtomicOp::Min => a.min(b),
                    AtomicOp::Max => a.max(b),
                    op => return Atomic { op, ty: AtomicType::U32 }.apply(old, operand, compare),
                };
                new.to_bits() as u64
            }
            AtomicType::F64 => {
                let (a, b) = (f64::from_bits(old), f64::from_bits(operand));
                let new = match self.op {
                    AtomicOp::Add => a + b,
                    AtomicOp::Min => a.min(b),
                    AtomicOp::Max => a.max(b),
                    op => return unsigned(op, old, operand, compare),
                };
                new.to_bits()
            }
        }
    }
}

fn unsigned(op: AtomicOp, old: u64, operand: u64, compare: u64) -> u64 {
    match op {
        AtomicOp::Add => old.wrapping_add(operand),
        AtomicOp::Min => old.min(operand),
        AtomicOp::Max => old.max(operand),
        AtomicOp::And => old & operand,
        AtomicOp::Or => old | operand,
        AtomicOp::Xor => old ^ operand,
        AtomicOp::Exchange => operand,
        AtomicOp::CompareExchange => {
            if old == compare {
                operand
            } else {
                old
            }
        }
        AtomicOp::Increment => {
            if old >= operand {
                0
            } else {
                old + 1
            }
        }
        AtomicOp::Decrement => {
            if old == 0 || old > operand {
                operand
            } else {
                old - 1
            }
        }
    }
}
