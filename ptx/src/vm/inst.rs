//! Decoded instructions: no text, registers as slots of typed files.

mod compare;
mod convert;
mod exchange;
mod float;
mod integer;
mod memory;
mod op;

pub use compare::*;
pub use convert::*;
pub use exchange::*;
pub use float::*;
pub use integer::*;
pub use memory::*;
pub use op::Op;

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
