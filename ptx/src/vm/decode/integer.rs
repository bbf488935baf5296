//! Integer logic, shifts, fields and carries.

use super::modifiers::Modifiers;
use super::operands::Context;
use super::{Decoded, Flow};
use crate::vm::ast::Type;
use crate::vm::inst::{
    Carry, Class, Count64, Int16, Int32, Int64, Logic, Op, Shift64, Slot, WideProduct,
};

fn made(op: Op) -> Result<Decoded, String> {
    Ok(Decoded::new(Class::Integer, op))
}

/// `mul.wide` and `mad.wide`.
pub(super) fn wide_product(
    cx: &mut Context<'_>,
    ty: Type,
    signed: bool,
    addend: bool,
) -> Result<Decoded, String> {
    cx.count(if addend { 4 } else { 3 })?;
    let (a, b) = (cx.source(1, ty)?, cx.source(2, ty)?);
    match ty.size() {
        2 => {
            let d = cx.target(0, Type::B32)?;
            let c = if addend { cx.source(3, Type::B32)? } else { cx.word(0)? };
            made(Op::WideProduct16 { signed, d, a, b, c })
        }
        4 => {
            let d = cx.target(0, Type::B64)?;
            let c = if addend { cx.source(3, Type::B64)? } else { cx.double(0)? };
            let f = if signed { WideProduct::S32 } else { WideProduct::U32 };
            made(Op::WideProduct { f, d, a, b, c })
        }
        _ => Err(format!("no wide product of {ty:?}")),
    }
}

/// `add` and `sub` with a carry in or out.
pub(super) fn with_carry(
    cx: &mut Context<'_>,
    base: &str,
    ty: Type,
    reads: bool,
    writes: bool,
) -> Result<Decoded, String> {
    cx.count(3)?;
    let f = if base.starts_with("add") { Carry::Add } else { Carry::Sub };
    let (d, a, b) = (cx.target(0, ty)?, cx.source(1, ty)?, cx.source(2, ty)?);
    match ty.size() {
        4 => made(Op::Carry32 { f, reads, writes, d, a, b, c: b }),
        8 => made(Op::Carry64 { f, reads, writes, d, a, b }),
        _ => Err(format!("no carry of {ty:?}")),
    }
}

/// `mad` with a carry in or out.
pub(super) fn product_with_carry(
    cx: &mut Context<'_>,
    high: bool,
    ty: Type,
    reads: bool,
    writes: bool,
) -> Result<Decoded, String> {
    cx.count(4)?;
    let f = match (ty, high) {
        (Type::U32, false) => Carry::MadLoU,
        (Type::U32, true) => Carry::MadHiU,
        (Type::S32, false) => Carry::MadLoS,
        (Type::S32, true) => Carry::MadHiS,
        _ => return Err(format!("no product with carry of {ty:?}")),
    };
    let (d, a) = (cx.target(0, ty)?, cx.source(1, ty)?);
    let (b, c) = (cx.source(2, ty)?, cx.source(3, ty)?);
    made(Op::Carry32 { f, reads, writes, d, a, b, c })
}

/// `addc`, `subc`, `madc`.
pub(super) fn carry(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let ty = m.ty()?;
    let writes = m.take("cc");
    if m.base() == "madc" {
        let high = m.need(".lo or .hi", &[("lo", false), ("hi", true)])?;
        return product_with_carry(cx, high, ty, true, writes);
    }
    with_carry(cx, m.base(), ty, true, writes)
}

/// `and`, `or`, `xor`.
pub(super) fn logic(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let ty = m.ty()?;
    cx.count(3)?;
    let (f, f32, f64) = match m.base() {
        "and" => (Logic::And, Int32::And, Int64::And),
        "or" => (Logic::Or, Int32::Or, Int64::Or),
        _ => (Logic::Xor, Int32::Xor, Int64::Xor),
    };
    if ty == Type::Pred {
        let d = cx.target(0, Type::Pred)?;
        let (a, b) = (cx.predicate(1)?, cx.predicate(2)?);
        return made(Op::Logic { f, d, a, b });
    }
    let (d, a, b) = (cx.target(0, ty)?, cx.source(1, ty)?, cx.source(2, ty)?);
    match ty {
        // Zero extended operands give zero extended results.
        Type::B16 | Type::B32 => made(Op::Int32 { f: f32, d, a, b, c: b }),
        Type::B64 => made(Op::Int64 { f: f64, d, a, b, c: b }),
        _ => Err(format!("{} has no form for {ty:?}", m.base())),
    }
}

/// `not`, `cnot`.
pub(super) fn not(cx: &mut Context<'_>, m: &mut Modifiers<'_>, _: Flow) -> Result<Decoded, String> {
    let ty = m.ty()?;
    let logical = m.base() == "cnot";
    cx.count(2)?;
    if ty == Type::Pred && !logical {
        let d = cx.target(0, Type::Pred)?;
        let mut a = cx.predicate(1)?;
        a.negated = !a.negated;
        return made(Op::MovePred { d, a });
    }
    let (d, a) = (cx.target(0, ty)?, cx.source(1, ty)?);
    let (b, c) = (a, a);
    made(match (ty, logical) {
        (Type::B16, false) => Op::Int16 { f: Int16::Not, d, a, b, c },
        (Type::B16, true) => Op::Int16 { f: Int16::Cnot, d, a, b, c },
        (Type::B32, false) => Op::Int32 { f: Int32::Not, d, a, b, c },
        (Type::B32, true) => Op::Int32 { f: Int32::Cnot, d, a, b, c },
        (Type::B64, false) => Op::Int64 { f: Int64::Not, d, a, b, c },
        (Type::B64, true) => Op::Int64 { f: Int64::Cnot, d, a, b, c },
        _ => return Err(format!("{} has no form for {ty:?}", m.base())),
    })
}

/// `shl`, `shr`.
pub(super) fn shift(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let ty = m.ty()?;
    let left = m.base() == "shl";
    let signed = matches!(ty, Type::S16 | Type::S32 | Type::S64);
    cx.count(3)?;
    let (d, a, b) = (cx.target(0, ty)?, cx.source(1, ty)?, cx.source(2, Type::U32)?);
    made(match (ty.size(), left, signed) {
        (2, true, _) => Op::Int16 { f: Int16::Shl, d, a, b, c: b },
        (2, false, true) => Op::Int16 { f: Int16::ShrS, d, a, b, c: b },
        (2, false, false) => Op::Int16 { f: Int16::ShrU, d, a, b, c: b },
        (4, true, _) => Op::Int32 { f: Int32::Shl, d, a, b, c: b },
        (4, false, true) => Op::Int32 { f: Int32::ShrS, d, a, b, c: b },
        (4, false, false) => Op::Int32 { f: Int32::ShrU, d, a, b, c: b },
        (8, true, _) => Op::Shift64 { f: Shift64::Shl, d, a, b, c: b },
        (8, false, true) => Op::Shift64 { f: Shift64::ShrS, d, a, b, c: b },
        (8, false, false) => Op::Shift64 { f: Shift64::ShrU, d, a, b, c: b },
        _ => return Err(format!("{} has no form for {ty:?}", m.base())),
    })
}

/// `bfe`.
pub(super) fn extract(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let ty = m.ty()?;
    cx.count(4)?;
    let (d, a) = (cx.target(0, ty)?, cx.source(1, ty)?);
    let (b, c) = (cx.source(2, Type::U32)?, cx.source(3, Type::U32)?);
    made(match ty {
        Type::S32 => Op::Int32 { f: Int32::BfeS, d, a, b, c },
        Type::U32 => Op::Int32 { f: Int32::BfeU, d, a, b, c },
        Type::S64 => Op::Shift64 { f: Shift64::BfeS, d, a, b, c },
        Type::U64 => Op::Shift64 { f: Shift64::BfeU, d, a, b, c },
        _ => return Err(format!("bfe has no form for {ty:?}")),
    })
}

/// `bfi`.
pub(super) fn insert(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let ty = m.ty()?;
    cx.count(5)?;
    let (d, a, b) = (cx.target(0, ty)?, cx.source(1, ty)?, cx.source(2, ty)?);
    let (c, e) = (cx.source(3, Type::U32)?, cx.source(4, Type::U32)?);
    made(match ty {
        Type::B32 => Op::Bfi32 { d, a, b, c, e },
        Type::B64 => Op::Bfi64 { d, a, b, c, e },
        _ => return Err(format!("bfi has no form for {ty:?}")),
    })
}

/// `brev`.
pub(super) fn reverse(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let ty = m.ty()?;
    cx.count(2)?;
    let (d, a) = (cx.target(0, ty)?, cx.source(1, ty)?);
    made(match ty {
        Type::B32 => Op::Int32 { f: Int32::Brev, d, a, b: a, c: a },
        Type::B64 => Op::Int64 { f: Int64::Brev, d, a, b: a, c: a },
        _ => return Err(format!("brev has no form for {ty:?}")),
    })
}

/// `popc`, `clz`, `bfind`.
pub(super) fn count(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let ty = m.ty()?;
    let by_shift = m.base() == "bfind" && m.take("shiftamt");
    let signed = matches!(ty, Type::S32 | Type::S64);
    cx.count(2)?;
    let (d, a) = (cx.target(0, Type::U32)?, cx.source(1, ty)?);
    let (f32, f64) = match (m.base(), signed, by_shift) {
        ("popc", ..) => (Int32::Popc, Count64::Popc),
        ("clz", ..) => (Int32::Clz, Count64::Clz),
        (_, true, false) => (Int32::BfindS, Count64::BfindS),
        (_, false, false) => (Int32::BfindU, Count64::BfindU),
        (_, true, true) => (Int32::BfindShiftS, Count64::BfindShiftS),
        (_, false, true) => (Int32::BfindShiftU, Count64::BfindShiftU),
    };
    match ty.size() {
        4 => made(Op::Int32 { f: f32, d, a, b: a, c: a }),
        8 => made(Op::Count64 { f: f64, d, a }),
        _ => Err(format!("{} has no form for {ty:?}", m.base())),
    }
}

/// Three words to a word.
fn three(cx: &mut Context<'_>, ty: Type, f: Int32) -> Result<Decoded, String> {
    cx.count(4)?;
    let (d, a) = (cx.target(0, ty)?, cx.source(1, ty)?);
    let (b, c): (Slot, Slot) = (cx.source(2, ty)?, cx.source(3, ty)?);
    made(Op::Int32 { f, d, a, b, c })
}

/// `prmt`.
pub(super) fn permute(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    if m.ty()? != Type::B32 {
        return Err("prmt is for b32".to_string());
    }
    const MODES: &[(&str, Int32)] = &[
        ("f4e", Int32::PrmtF4e),
        ("b4e", Int32::PrmtB4e),
        ("rc8", Int32::PrmtRc8),
        ("ecl", Int32::PrmtEcl),
        ("ecr", Int32::PrmtEcr),
        ("rc16", Int32::PrmtRc16),
    ];
    let f = m.one_of(MODES).unwrap_or(Int32::Prmt);
    three(cx, Type::B32, f)
}

/// `lop3`.
pub(super) fn lop3(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    if m.ty()? != Type::B32 {
        return Err("lop3 is for b32".to_string());
    }
    cx.count(5)?;
    let lut = u8::try_from(cx.immediate(4)?).map_err(|_| "lop3 takes a table of 8 bits")?;
    let (d, a) = (cx.target(0, Type::B32)?, cx.source(1, Type::B32)?);
    let (b, c) = (cx.source(2, Type::B32)?, cx.source(3, Type::B32)?);
    made(Op::Lop3 { lut, d, a, b, c })
}

/// `shf`.
pub(super) fn funnel(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let left = m.need(".l or .r", &[("l", true), ("r", false)])?;
    let wrap = m.need(".wrap or .clamp", &[("wrap", true), ("clamp", false)])?;
    if m.ty()? != Type::B32 {
        return Err("shf is for b32".to_string());
    }
    let f = match (left, wrap) {
        (true, true) => Int32::ShfLeftWrap,
        (true, false) => Int32::ShfLeftClamp,
        (false, true) => Int32::ShfRightWrap,
        (false, false) => Int32::ShfRightClamp,
    };
    three(cx, Type::B32, f)
}

/// `sad`.
pub(super) fn sad(cx: &mut Context<'_>, m: &mut Modifiers<'_>, _: Flow) -> Result<Decoded, String> {
    match m.ty()? {
        Type::S32 => three(cx, Type::S32, Int32::SadS),
        Type::U32 => three(cx, Type::U32, Int32::SadU),
        ty => Err(format!("sad has no form for {ty:?}")),
    }
}

/// `mul24.lo` and `mad24.lo`.
pub(super) fn product24(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    m.need(".lo", &[("lo", ())])?;
    let ty = m.ty()?;
    let f = match (m.base(), ty) {
        ("mul24", Type::S32) => Int32::Mul24S,
        ("mul24", Type::U32) => Int32::Mul24U,
        ("mad24", Type::S32) => Int32::Mad24S,
        ("mad24", Type::U32) => Int32::Mad24U,
        _ => return Err(format!("{} has no form for {ty:?}", m.base())),
    };
    if m.base() == "mad24" {
        return three(cx, ty, f);
    }
    cx.count(3)?;
    let (d, a, b) = (cx.target(0, ty)?, cx.source(1, ty)?, cx.source(2, ty)?);
    made(Op::Int32 { f, d, a, b, c: b })
}

/// `dp4a` with both factors of one signedness.
pub(super) fn dot(cx: &mut Context<'_>, m: &mut Modifiers<'_>, _: Flow) -> Result<Decoded, String> {
    match (m.ty()?, m.ty()?) {
        (Type::S32, Type::S32) => three(cx, Type::B32, Int32::Dp4aS),
        (Type::U32, Type::U32) => three(cx, Type::B32, Int32::Dp4aU),
        (a, b) => Err(format!("dp4a has no form for {a:?} and {b:?}")),
    }
}
