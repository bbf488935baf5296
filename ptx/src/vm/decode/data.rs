//! Moves, loads, stores, atomics and copies.

use super::convert::bits;
use super::modifiers::Modifiers;
use super::operands::Context;
use super::{Decoded, Flow};
use crate::vm::ast::{Operand, Space, Type};
use crate::vm::inst::{Class, Elements, NONE, NOTHING_LEFT, Op, Place, Slot};
use crate::vm::memory::{Atomic, AtomicOp, AtomicType};

const SPACES: &[(&str, Space)] = &[
    ("global", Space::Global),
    ("const", Space::Const),
    ("shared", Space::Shared),
    ("shared::cta", Space::Shared),
    ("local", Space::Local),
    ("param", Space::Param),
    ("param::entry", Space::Param),
];

fn memory(op: Op) -> Result<Decoded, String> {
    Ok(Decoded::new(Class::Memory, op))
}

fn integer(op: Op) -> Result<Decoded, String> {
    Ok(Decoded::new(Class::Integer, op))
}

/// `mov`: registers, constants, addresses, and the packing of small values into large ones.
pub(super) fn mov(cx: &mut Context<'_>, m: &mut Modifiers<'_>, _: Flow) -> Result<Decoded, String> {
    let ty = m.ty()?;
    cx.count(2)?;
    match (cx.operand(0)?, cx.operand(1)?) {
        (Operand::Vector(parts), _) => {
            let a = cx.source(1, bits(ty.size()))?;
            return integer(match (ty.size(), parts.as_slice()) {
                (4, [low, high]) => Op::Split32 {
                    low: cx.target_of(low, Type::B16)?,
                    high: cx.target_of(high, Type::B16)?,
                    a,
                },
                (8, [low, high]) => Op::Split64 {
                    low: cx.target_of(low, Type::B32)?,
                    high: cx.target_of(high, Type::B32)?,
                    a,
                },
                (8, [x, y, z, w]) => {
                    let mut parts = [NONE; 4];
                    for (to, from) in parts.iter_mut().zip([x, y, z, w]) {
                        *to = cx.target_of(from, Type::B16)?;
                    }
                    Op::Split4 { parts, a }
                }
                _ => return Err(format!("no such parts of {ty:?}")),
            });
        }
        (_, Operand::Vector(parts)) => {
            let d = cx.target(0, bits(ty.size()))?;
            return integer(match (ty.size(), parts.as_slice()) {
                (4, [low, high]) => Op::Join32 {
                    d,
                    low: cx.source_of(low, Type::B16)?,
                    high: cx.source_of(high, Type::B16)?,
                },
                (8, [low, high]) => Op::Join64 {
                    d,
                    low: cx.source_of(low, Type::B32)?,
                    high: cx.source_of(high, Type::B32)?,
                },
                (8, [x, y, z, w]) => {
                    let mut parts = [NONE; 4];
                    for (to, from) in parts.iter_mut().zip([x, y, z, w]) {
                        *to = cx.source_of(from, Type::B16)?;
                    }
                    Op::Join4 { d, parts }
                }
                _ => return Err(format!("no such parts of {ty:?}")),
            });
        }
        (_, Operand::Special(name))
            if matches!(name.trim_start_matches('%'), "clock" | "clock64") =>
        {
            let wide = ty.size() == 8;
            return integer(Op::Clock { d: cx.target(0, ty)?, wide });
        }
        _ => {}
    }
    if ty == Type::Pred {
        let d = cx.target(0, Type::Pred)?;
        return integer(Op::MovePred { d, a: cx.predicate(1)? });
    }
    let (d, a) = (cx.target(0, ty)?, cx.source(1, ty)?);
    match ty.size() {
        8 => integer(Op::Move64 { d, a }),
        2 | 4 => integer(Op::Move32 { d, a }),
        _ => Err(format!("mov has no form for {ty:?}")),
    }
}

fn vector_length(m: &mut Modifiers<'_>) -> u8 {
    m.one_of(&[("v2", 2), ("v4", 4)]).unwrap_or(1)
}

/// What `ld` and `st` have in common: the elements and the registers' type.
fn elements(
    cx: &Context<'_>,
    ty: Type,
    count: u8,
    registers: &[Operand],
) -> Result<(Elements, Type), String> {
    if registers.len() != count as usize {
        return Err(format!("{} registers for {count} elements", registers.len()));
    }
    if ty.size() * count as u32 > 16 || ty == Type::Pred {
        return Err(format!("no access of {count} x {ty:?}"));
    }
    let float = matches!(ty, Type::F16 | Type::Bf16 | Type::F32 | Type::F64);
    let mut width = None;
    for register in registers {
        if let Operand::Register(_) = register {
            let found = cx.width(register, ty)?;
            if found < ty.size() || float && found != ty.size() {
                return Err(format!("a register of {found} bytes where {ty:?} belongs"));
            }
            if *width.get_or_insert(found) != found {
                return Err("registers of different widths".to_string());
            }
        }
    }
    let width = width.unwrap_or(ty.size().max(2));
    let signed = matches!(ty, Type::S8 | Type::S16 | Type::S32);
    let elements =
        Elements { bytes: ty.size() as u8, count, signed, wide: width == 8, short: width == 2 };
    Ok((elements, bits(width)))
}

fn place(m: &mut Modifiers<'_>) -> (Place, Option<Space>) {
    match m.one_of(SPACES) {
        Some(space) => (Place::In(space), Some(space)),
        None => (Place::Generic, None),
    }
}

/// `ld`, `ldu`.
pub(super) fn load(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let (place, space) = place(m);
    m.drop_hints();
    let count = vector_length(m);
    let ty = m.ty()?;
    cx.count(2)?;
    let registers = cx.vector(0)?;
    let (elements, register) = elements(cx, ty, count, registers)?;
    let mut d = [NONE; 4];
    for (to, operand) in d.iter_mut().zip(registers) {
        *to = cx.target_of(operand, register)?;
    }
    let address = cx.address(1, space)?;
    memory(Op::Load { place, elements, address, d })
}

/// `st`.
pub(super) fn store(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let (place, space) = place(m);
    if matches!(space, Some(Space::Const | Space::Param)) {
        return Err("a store to read-only memory".to_string());
    }
    m.drop_hints();
    let count = vector_length(m);
    let ty = m.ty()?;
    cx.count(2)?;
    let registers = cx.vector(1)?;
    let (elements, register) = elements(cx, ty, count, registers)?;
    let mut a = [NONE; 4];
    for (to, operand) in a.iter_mut().zip(registers) {
        // A constant has the type itself, so that float constants are read as such.
        let of = if matches!(operand, Operand::Register(_)) { register } else { ty };
        *to = cx.source_of(operand, of)?;
    }
    let address = cx.address(0, space)?;
    memory(Op::Store { place, elements, address, a })
}

/// `atom`, `red`.
pub(super) fn atomic(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    const OPERATIONS: &[(&str, AtomicOp)] = &[
        ("add", AtomicOp::Add),
        ("min", AtomicOp::Min),
        ("max", AtomicOp::Max),
        ("and", AtomicOp::And),
        ("or", AtomicOp::Or),
        ("xor", AtomicOp::Xor),
        ("exch", AtomicOp::Exchange),
        ("cas", AtomicOp::CompareExchange),
        ("inc", AtomicOp::Increment),
        ("dec", AtomicOp::Decrement),
    ];
    let returns = m.base() == "atom";
    let (place, space) = place(m);
    if !matches!(space, None | Some(Space::Global | Space::Shared)) {
        return Err("atomics are for global and shared memory".to_string());
    }
    m.drop_hints();
    let op = m.need("an operation", OPERATIONS)?;
    let ty = m.ty()?;
    let counts = matches!(op, AtomicOp::Increment | AtomicOp::Decrement);
    let arithmetic = matches!(op, AtomicOp::Add | AtomicOp::Min | AtomicOp::Max);
    let kind = match ty {
        Type::U32 if arithmetic || counts => AtomicType::U32,
        Type::S32 if arithmetic => AtomicType::S32,
        Type::U64 if arithmetic => AtomicType::U64,
        Type::S64 if arithmetic && op != AtomicOp::Add => AtomicType::S64,
        Type::B32 if !arithmetic && !counts => AtomicType::U32,
        Type::B64 if !arithmetic && !counts => AtomicType::U64,
        Type::F32 if op == AtomicOp::Add => AtomicType::F32,
        Type::F64 if op == AtomicOp::Add => AtomicType::F64,
        _ => return Err(format!("no such atomic of {ty:?}")),
    };
    let compares = op == AtomicOp::CompareExchange;
    cx.count(2 + returns as usize + compares as usize)?;
    let first = returns as usize;
    let d = if returns { cx.target(0, ty)? } else { NONE };
    let address = cx.address(first, space)?;
    let a = cx.source(first + 1, ty)?;
    let b = if compares { cx.source(first + 2, ty)? } else { a };
    memory(Op::Atomic { f: Atomic { op, ty: kind }, place, address, d, a, b })
}

/// `cp.async`, its groups and waits.
pub(super) fn copy_async(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    m.need(".async", &[("async", ())])?;
    if m.take("commit_group") {
        cx.count(0)?;
        return memory(Op::CopyCommit);
    }
    if m.take("wait_all") {
        cx.count(0)?;
        return memory(Op::CopyWait { pending: NOTHING_LEFT });
    }
    if m.take("wait_group") {
        cx.count(1)?;
        let pending = u32::try_from(cx.immediate(0)?).ok().filter(|&n| n != NOTHING_LEFT);
        let pending = pending.ok_or("wait_group of a number that is none")?;
        return memory(Op::CopyWait { pending });
    }
    let level = m.need(".ca or .cg", &[("ca", false), ("cg", true)])?;
    m.need(".shared", &[("shared", ()), ("shared::cta", ())])?;
    m.need(".global", &[("global", ())])?;
    m.drop_hints();
    let to = cx.address(0, Some(Space::Shared))?;
    let from = cx.address(1, Some(Space::Global))?;
    let bytes = match cx.immediate(2)? {
        16 => 16,
        4 if !level => 4,
        8 if !level => 8,
        other => return Err(format!("no asynchronous copy of {other} bytes")),
    };
    let source: Slot = match cx.operands.len() {
        3 => cx.word(bytes as u32)?,
        4 => cx.source(3, Type::U32)?,
        count => return Err(format!("{count} operands where 3 or 4 belong")),
    };
    memory(Op::CopyAsync { to, from, bytes, source })
}

/// `cvta` and `cvta.to`.
pub(super) fn to_generic(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let from_generic = m.take("to");
    let space = m.need("a state space", SPACES)?;
    let ty = m.ty()?;
    if ty != Type::U64 {
        return Err(format!("addresses are 64 bits wide, not {ty:?}"));
    }
    cx.count(2)?;
    let (d, a) = (cx.target(0, Type::B64)?, cx.source(1, Type::B64)?);
    integer(match from_generic {
        true => Op::FromGeneric { d, a, space },
        false => Op::ToGeneric { d, a, space },
    })
}

/// `isspacep`.
pub(super) fn is_space(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let space = m.need("a state space", SPACES)?;
    cx.count(2)?;
    let (d, a) = (cx.target(0, Type::Pred)?, cx.source(1, Type::B64)?);
    integer(Op::IsSpace { d, a, space })
}

/// `prefetch`, `prefetchu`: no effect but on caches. (`discard` makes contents undefined and is
/// refused.)
pub(super) fn hint(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    if m.base() == "discard" {
        return Err("discard leaves memory undefined".to_string());
    }
    let space = m.one_of(SPACES);
    m.need(
        "a cache level",
        &[("L1", ()), ("L2", ()), ("L2::evict_last", ()), ("L2::evict_normal", ())],
    )?;
    cx.count(1)?;
    cx.address(0, space)?;
    memory(Op::Nothing)
}
