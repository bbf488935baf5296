//! Which slot each declared register gets.

use crate::vm::ast::{Function, Type};
use crate::vm::inst::{NONE, Slot};

/// Slots by register, and the extents of the files.
pub(super) struct Allocation {
    pub(super) slots: Vec<Slot>,
    pub(super) words: usize,
    pub(super) doubles: usize,
    pub(super) predicates: usize,
}

/// One slot per register.
pub(super) fn allocate(function: &Function) -> Result<Allocation, String> {
    let mut made = Allocation { slots: Vec::new(), words: 0, doubles: 0, predicates: 0 };
    for register in &function.registers {
        let count = match register.ty {
            Type::Pred => &mut made.predicates,
            ty if ty.size() == 8 => &mut made.doubles,
            ty if ty.size() <= 4 => &mut made.words,
            ty => return Err(format!("register {} of type {ty:?}", register.name)),
        };
        let slot = Slot::try_from(*count).ok().filter(|&slot| slot < NONE / 2);
        made.slots.push(slot.ok_or("more registers than the virtual GPU has")?);
        *count += 1;
    }
    Ok(made)
}
