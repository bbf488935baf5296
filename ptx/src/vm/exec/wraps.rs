//! Finds out, after a fault, whether an address came of 32-bit arithmetic that wrapped around.
//!
//! A block that faults runs a second time with this at its side: per register and lane it keeps
//! whether the value, or one that it was computed from, left the range of 32 bits in both the
//! signed and the unsigned reading.

use super::warp::Warp;
use crate::vm::access::{WARP, lanes};
use crate::vm::ast::{AddressBase, Instruction, Operand, RegisterId};
use crate::vm::program::Kernel;

/// Lanes whose value wrapped, by warp and register.
#[derive(Debug, Default)]
pub(super) struct Wraps {
    warps: Vec<Vec<u32>>,
}

/// Arithmetic that can leave 32 bits.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Add,
    Sub,
    Mul,
    Mad,
    Shl,
}

/// What a mnemonic does with a wrapped source.
fn keeps(base: &str) -> bool {
    matches!(
        base,
        "add"
            | "sub"
            | "mul"
            | "mad"
            | "shl"
            | "mov"
            | "cvt"
            | "cvta"
            | "selp"
            | "min"
            | "max"
            | "neg"
    )
}

fn kind(opcode: &str) -> Option<Kind> {
    let narrow = ["u32", "s32", "b32"].iter().any(|ty| opcode.ends_with(ty));
    if !narrow || opcode.contains(".wide") || opcode.contains(".hi") || opcode.contains(".sat") {
        return None;
    }
    match opcode.split('.').next()? {
        "add" => Some(Kind::Add),
        "sub" => Some(Kind::Sub),
        "mul" => Some(Kind::Mul),
        "mad" => Some(Kind::Mad),
        "shl" => Some(Kind::Shl),
        _ => None,
    }
}

fn registers(operand: &Operand, each: &mut impl FnMut(RegisterId)) {
    match operand {
        Operand::Register(id) | Operand::Not(id) => each(*id),
        Operand::Vector(parts) => parts.iter().for_each(|part| registers(part, each)),
        Operand::Pair(a, b) => {
            registers(a, each);
            registers(b, each);
        }
        _ => {}
    }
}

/// Value of a 32-bit source in one lane.
fn value(kernel: &Kernel, warp: &Warp, operand: &Operand, lane: usize) -> u32 {
    match operand {
        Operand::Register(id) => {
            kernel.slots.get(id.0 as usize).map_or(0, |&slot| warp.registers.word(slot)[lane])
        }
        Operand::Integer(value) => *value as u32,
        _ => 0,
    }
}

/// The exact result fits 32 bits neither signed nor unsigned.
fn leaves(kind: Kind, [a, b, c]: [u32; 3]) -> bool {
    let exact = |x: u32, y: u32, z: u32, wide: fn(u32) -> i128| match kind {
        Kind::Add => wide(x) + wide(y),
        Kind::Sub => wide(x) - wide(y),
        Kind::Mul => wide(x) * wide(y),
        Kind::Mad => wide(x) * wide(y) + wide(z),
        Kind::Shl => wide(x) << y.min(64),
    };
    let signed = exact(a, b, c, |x| x as i32 as i128);
    let unsigned = exact(a, b, c, |x| x as i128);
    i32::try_from(signed).is_err() && u32::try_from(unsigned).is_err()
}

impl Wraps {
    /// Begins a block.
    pub(super) fn reset(&mut self, warps: usize, registers: usize) {
        self.warps.clear();
        self.warps.resize(warps, vec![0; registers]);
    }

    /// Sees an instruction before the lanes of `mask` run it.
    pub(super) fn before(&mut self, kernel: &Kernel, warp: &Warp, pc: u32, mask: u32) {
        let Some(inst) = kernel.function.body.get(pc as usize) else { return };
        let Some(wrapped) = self.warps.get_mut(warp.index as usize) else { return };
        let Some((target, sources)) = inst.operands.split_first() else { return };
        let mut result = 0;
        if keeps(inst.opcode.split('.').next().unwrap_or("")) {
            for source in sources {
                registers(source, &mut |id| {
                    result |= wrapped.get(id.0 as usize).copied().unwrap_or(0);
                });
            }
        }
        if let Some(kind) = kind(&inst.opcode) {
            for lane in lanes(mask) {
                let mut values = [0; 3];
                for (to, source) in values.iter_mut().zip(sources) {
                    *to = value(kernel, warp, source, lane);
                }
                if leaves(kind, values) {
                    result |= 1 << lane;
                }
            }
        }
        registers(target, &mut |id| {
            if let Some(known) = wrapped.get_mut(id.0 as usize) {
                *known = *known & !mask | result & mask;
            }
        });
    }

    /// Whether the address of an access came of arithmetic that wrapped.
    pub(super) fn address(&self, inst: &Instruction, warp: u32, lane: u32) -> bool {
        let Some(wrapped) = self.warps.get(warp as usize) else { return false };
        inst.operands.iter().any(|operand| match operand {
            Operand::Address { base: AddressBase::Register(id), .. } => {
                let known = wrapped.get(id.0 as usize).copied().unwrap_or(0);
                (lane as usize) < WARP && known >> lane & 1 != 0
            }
            _ => false,
        })
    }
}
