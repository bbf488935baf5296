//! From operands to slots: registers, constants and special values all become slots of a file.

use std::collections::HashMap;

use super::layout::Layout;
use crate::vm::ast::{AddressBase, Function, Operand, RegisterId, Space, Type};
use crate::vm::inst::{Address, NONE, Pred, Slot};
use crate::vm::program::{Preset, Special};

/// What the instructions of one function share while they are decoded.
pub(super) struct Context<'a> {
    function: &'a Function,
    layout: &'a Layout<'a>,
    slots: Vec<Slot>,
    /// Extents of the files so far.
    pub(super) words: usize,
    pub(super) doubles: usize,
    pub(super) predicates: usize,
    word_constants: HashMap<u32, Slot>,
    double_constants: HashMap<u64, Slot>,
    specials: HashMap<Special, Slot>,
    /// What each constant and special slot holds.
    pub(super) presets: Vec<Preset>,
    word_sink: Option<Slot>,
    double_sink: Option<Slot>,
    truth: Option<Slot>,
    /// Operands of the instruction at hand.
    pub(super) operands: &'a [Operand],
}

fn slot(count: &mut usize) -> Result<Slot, String> {
    let slot = Slot::try_from(*count).ok().filter(|&slot| slot != NONE);
    *count += 1;
    slot.ok_or_else(|| "more registers than the virtual GPU has".to_string())
}

/// The register of a file that takes what is dropped.
fn sink(known: &mut Option<Slot>, count: &mut usize) -> Result<Slot, String> {
    match *known {
        Some(slot) => Ok(slot),
        None => Ok(*known.insert(slot(count)?)),
    }
}

fn is_wide(ty: Type) -> bool {
    ty.size() == 8
}

impl<'a> Context<'a> {
    pub(super) fn new(
        function: &'a Function,
        layout: &'a Layout<'a>,
        allocation: super::registers::Allocation,
    ) -> Self {
        Self {
            function,
            layout,
            slots: allocation.slots,
            words: allocation.words,
            doubles: allocation.doubles,
            predicates: allocation.predicates,
            word_constants: HashMap::new(),
            double_constants: HashMap::new(),
            specials: HashMap::new(),
            presets: Vec::new(),
            word_sink: None,
            double_sink: None,
            truth: None,
            operands: &[],
        }
    }

    /// Exactly this many operands.
    pub(super) fn count(&self, count: usize) -> Result<(), String> {
        match self.operands.len() == count {
            true => Ok(()),
            false => Err(format!("{} operands where {count} belong", self.operands.len())),
        }
    }

    pub(super) fn operand(&self, index: usize) -> Result<&'a Operand, String> {
        self.operands.get(index).ok_or_else(|| format!("operand {} is missing", index + 1))
    }

    fn register_type(&self, id: RegisterId) -> Result<Type, String> {
        let register = self.function.registers.get(id.0 as usize);
        register.map(|register| register.ty).ok_or_else(|| "no such register".to_string())
    }

    fn register_name(&self, id: RegisterId) -> &str {
        self.function.registers.get(id.0 as usize).map_or("?", |register| &register.name)
    }

    /// Slot of a register of exactly the size of `ty`.
    fn register(&self, id: RegisterId, ty: Type) -> Result<Slot, String> {
        let declared = self.register_type(id)?;
        let same = declared.size() == ty.size() && (declared == Type::Pred) == (ty == Type::Pred);
        match (same, self.slots.get(id.0 as usize)) {
            (true, Some(&slot)) => Ok(slot),
            _ => Err(format!(
                "register {} is declared {declared:?} where {ty:?} belongs",
                self.register_name(id)
            )),
        }
    }

    /// Slot of a constant word.
    pub(super) fn word(&mut self, value: u32) -> Result<Slot, String> {
        if let Some(&slot) = self.word_constants.get(&value) {
            return Ok(slot);
        }
        let slot = slot(&mut self.words)?;
        self.word_constants.insert(value, slot);
        self.presets.push(Preset::Word(slot, value));
        Ok(slot)
    }

    /// Slot of a constant of 64 bits.
    pub(super) fn double(&mut self, value: u64) -> Result<Slot, String> {
        if let Some(&slot) = self.double_constants.get(&value) {
            return Ok(slot);
        }
        let slot = slot(&mut self.doubles)?;
        self.double_constants.insert(value, slot);
        self.presets.push(Preset::Double(slot, value));
        Ok(slot)
    }

    /// A predicate that always holds.
    pub(super) fn truth(&mut self) -> Result<Slot, String> {
        if let Some(slot) = self.truth {
            return Ok(slot);
        }
        let slot = slot(&mut self.predicates)?;
        self.presets.push(Preset::Predicate(slot));
        self.truth = Some(slot);
        Ok(slot)
    }

    fn special(&mut self, name: &str) -> Result<Slot, String> {
        let special =
            Special::named(name).ok_or_else(|| format!("unknown special register {name}"))?;
        if let Some(&slot) = self.specials.get(&special) {
            return Ok(slot);
        }
        let slot = slot(&mut self.words)?;
        self.specials.insert(special, slot);
        self.presets.push(Preset::Special(slot, special));
        Ok(slot)
    }

    /// Source operand of a type; 16-bit constants are kept zero extended.
    pub(super) fn source(&mut self, index: usize, ty: Type) -> Result<Slot, String> {
        let operand = self.operand(index)?;
        self.source_of(operand, ty)
    }

    pub(super) fn source_of(&mut self, operand: &Operand, ty: Type) -> Result<Slot, String> {
        let wide = is_wide(ty);
        match operand {
            Operand::Register(id) => self.register(*id, ty),
            Operand::Special(name) if !wide => self.special(name),
            Operand::Integer(_) if matches!(ty, Type::F32 | Type::F64) => {
                Err(format!("an integer where {ty:?} belongs"))
            }
            Operand::Integer(value) if wide => self.double(*value as u64),
            Operand::Integer(value) if ty.size() == 2 => self.word(*value as u32 & 0xffff),
            Operand::Integer(value) => {
                // Both readings of 32 bits are allowed, nothing beyond.
                if *value < i32::MIN as i64 || *value > u32::MAX as i64 {
                    return Err(format!("{value} does not fit 32 bits"));
                }
                self.word(*value as u32)
            }
            Operand::F32(bits) if ty.size() == 4 => self.word(*bits),
            Operand::F32(bits) if ty == Type::F64 => {
                self.double((f32::from_bits(*bits) as f64).to_bits())
            }
            Operand::F64(bits) if wide => self.double(*bits),
            Operand::F64(bits) if ty == Type::F32 => {
                self.word((f64::from_bits(*bits) as f32).to_bits())
            }
            Operand::Symbol { name, offset } => {
                let (_, at) = self.layout.symbol(name)?;
                let at = at.wrapping_add(*offset as u64);
                if wide {
                    self.double(at)
                } else {
                    let at = u32::try_from(at);
                    self.word(at.map_err(|_| format!("address of {name} in 32 bits"))?)
                }
            }
            other => Err(format!("{} where a value belongs", kind(other))),
        }
    }

    /// Destination register of a type; `_` becomes a register that nothing reads.
    pub(super) fn target(&mut self, index: usize, ty: Type) -> Result<Slot, String> {
        let operand = self.operand(index)?;
        self.target_of(operand, ty)
    }

    pub(super) fn target_of(&mut self, operand: &Operand, ty: Type) -> Result<Slot, String> {
        match operand {
            Operand::Register(id) => self.register(*id, ty),
            Operand::Sink if is_wide(ty) => sink(&mut self.double_sink, &mut self.doubles),
            Operand::Sink if ty != Type::Pred => sink(&mut self.word_sink, &mut self.words),
            Operand::Sink => Ok(NONE),
            other => Err(format!("{} where a register belongs", kind(other))),
        }
    }

    /// Size in bytes of the register (or constant, then that of `ty`) that an operand names.
    pub(super) fn width(&self, operand: &Operand, ty: Type) -> Result<u32, String> {
        match operand {
            Operand::Register(id) => Ok(self.register_type(*id)?.size()),
            _ => Ok(ty.size()),
        }
    }

    /// Predicate source.
    pub(super) fn predicate(&mut self, index: usize) -> Result<Pred, String> {
        let operand = self.operand(index)?;
        match operand {
            Operand::Register(id) => {
                Ok(Pred { slot: self.register(*id, Type::Pred)?, negated: false })
            }
            Operand::Not(id) => Ok(Pred { slot: self.register(*id, Type::Pred)?, negated: true }),
            Operand::Integer(value) => Ok(Pred { slot: self.truth()?, negated: *value == 0 }),
            other => Err(format!("{} where a predicate belongs", kind(other))),
        }
    }

    /// Guard of an instruction.
    pub(super) fn guard(&mut self, guard: Option<(RegisterId, bool)>) -> Result<Pred, String> {
        match guard {
            None => Ok(Pred { slot: NONE, negated: false }),
            Some((id, negated)) => Ok(Pred { slot: self.register(id, Type::Pred)?, negated }),
        }
    }

    /// The elements of `{...}`, or the single operand.
    pub(super) fn vector(&self, index: usize) -> Result<&'a [Operand], String> {
        Ok(match self.operand(index)? {
            Operand::Vector(parts) => parts,
            single => std::slice::from_ref(single),
        })
    }

    /// An address in a state space; `None` for a generic one.
    pub(super) fn address(
        &mut self,
        index: usize,
        space: Option<Space>,
    ) -> Result<Address, String> {
        let Operand::Address { base, offset } = self.operand(index)? else {
            return Err("no address where one belongs".to_string());
        };
        let short = |offset: i64| {
            i32::try_from(offset).map_err(|_| format!("address offset {offset} beyond 32 bits"))
        };
        match base {
            AddressBase::Register(id) => {
                let wide = is_wide(self.register_type(*id)?);
                let ty = if wide { Type::B64 } else { Type::B32 };
                Ok(Address { base: self.register(*id, ty)?, wide, offset: short(*offset)? })
            }
            AddressBase::Symbol(name) => {
                let (found, at) = self.layout.symbol(name)?;
                match space {
                    Some(space) if space != found => {
                        Err(format!("{name} is in {found:?}, not {space:?}"))
                    }
                    None => Err(format!("generic access to {name} by name")),
                    Some(_) => {
                        Ok(Address { base: self.double(at)?, wide: true, offset: short(*offset)? })
                    }
                }
            }
            AddressBase::Absolute => {
                Ok(Address { base: self.double(*offset as u64)?, wide: true, offset: 0 })
            }
        }
    }

    /// An immediate.
    pub(super) fn immediate(&self, index: usize) -> Result<i64, String> {
        match self.operand(index)? {
            Operand::Integer(value) => Ok(*value),
            other => Err(format!("{} where a constant belongs", kind(other))),
        }
    }
}

/// What an operand is, in words.
fn kind(operand: &Operand) -> &'static str {
    match operand {
        Operand::Register(_) => "a register",
        Operand::Not(_) => "a negated predicate",
        Operand::Special(_) => "a special register",
        Operand::Integer(_) => "an integer",
        Operand::F32(_) | Operand::F64(_) => "a floating-point constant",
        Operand::Label(_) => "a label",
        Operand::Symbol { .. } => "a variable",
        Operand::Address { .. } => "an address",
        Operand::Vector(_) => "a vector",
        Operand::Pair(..) => "a pair",
        Operand::Sink => "_",
        _ => "an operand of another kind",
    }
}
