//! Operands in memory.

use super::Slot;
use crate::vm::ast::Space;

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
