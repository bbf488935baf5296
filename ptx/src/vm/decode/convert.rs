//! Conversions, comparisons and selections.

use super::modifiers::Modifiers;
use super::operands::Context;
use super::{Decoded, Flow};
use crate::vm::ast::{Operand, Type};
use crate::vm::inst::{
    Class, Combine, Compare, CompareType, Convert, ConvertPair, NONE, Op, Pred, Round, Scalar, Test,
};

fn scalar(ty: Type) -> Result<Scalar, String> {
    Ok(match ty {
        Type::U8 => Scalar::U8,
        Type::S8 => Scalar::S8,
        Type::U16 => Scalar::U16,
        Type::S16 => Scalar::S16,
        Type::U32 => Scalar::U32,
        Type::S32 => Scalar::S32,
        Type::U64 => Scalar::U64,
        Type::S64 => Scalar::S64,
        Type::F16 => Scalar::F16,
        Type::Bf16 => Scalar::Bf16,
        Type::F32 => Scalar::F32,
        Type::F64 => Scalar::F64,
        _ => return Err(format!("no conversion of {ty:?}")),
    })
}

/// The untyped type of a register of `bytes`.
pub(super) fn bits(bytes: u32) -> Type {
    match bytes {
        1 => Type::B8,
        2 => Type::B16,
        4 => Type::B32,
        _ => Type::B64,
    }
}

fn is_float(ty: Type) -> bool {
    matches!(ty, Type::F16 | Type::Bf16 | Type::F32 | Type::F64)
}

/// `cvt`.
pub(super) fn convert(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    const ROUNDS: &[(&str, (Round, bool))] = &[
        ("rn", (Round::Nearest, false)),
        ("rz", (Round::Zero, false)),
        ("rm", (Round::Down, false)),
        ("rp", (Round::Up, false)),
        ("rni", (Round::Nearest, true)),
        ("rzi", (Round::Zero, true)),
        ("rmi", (Round::Down, true)),
        ("rpi", (Round::Up, true)),
    ];
    let made = |op| Ok(Decoded::new(Class::Integer, op));
    let away = m.take("rna");
    let rounding = m.one_of(ROUNDS);
    let (flush, saturate, relu) = (m.take("ftz"), m.take("sat"), m.take("relu"));
    let (to, from) = (m.ty()?, m.ty()?);
    if to == Type::Tf32 {
        if !away || from != Type::F32 || saturate || flush {
            return Err("tf32 is made by cvt.rna.tf32.f32 only".to_string());
        }
        cx.count(2)?;
        let (d, a) = (cx.target(0, Type::B32)?, cx.source(1, Type::F32)?);
        return made(Op::ConvertTf32 { d, a, relu });
    }
    if away {
        return Err(format!(".rna to {to:?}"));
    }
    if matches!(to, Type::Bf16x2 | Type::F16x2) {
        let truncate = match rounding {
            Some((Round::Nearest, false)) => false,
            Some((Round::Zero, false)) => true,
            _ => return Err(format!("{to:?} needs .rn or .rz")),
        };
        if from != Type::F32 || saturate || flush {
            return Err(format!("no such conversion of {from:?} to {to:?}"));
        }
        cx.count(3)?;
        let (a, b) = (cx.source(1, Type::F32)?, cx.source(2, Type::F32)?);
        let f = ConvertPair { brain: to == Type::Bf16x2, truncate, relu };
        return made(Op::ConvertPair { f, d: cx.target(0, to)?, a, b });
    }
    let (float_to, float_from) = (is_float(to), is_float(from));
    // Which rounding must be written, PTX ISA, cvt.
    let exact = to.size() > from.size()
        || to == from
        || (from == Type::Bf16 && to == Type::F32)
        || !(float_to || float_from);
    let (round, integral) = match (rounding, float_to, float_from) {
        (Some((round, true)), false, true) => (round, true),
        (Some((round, true)), true, true) if to == from => (round, true),
        (Some((round, false)), true, false) => (round, false),
        (Some((round, false)), true, true) if !exact => (round, false),
        (None, _, _) if exact && (float_to == float_from) => (Round::Nearest, false),
        (None, _, _) => return Err(format!("{from:?} to {to:?} needs a rounding")),
        _ => return Err(format!("no such rounding of {from:?} to {to:?}")),
    };
    if relu && !matches!(to, Type::F16 | Type::Bf16) {
        return Err(format!(".relu to {to:?}"));
    }
    cx.count(2)?;
    // Registers may be wider than the types, but a float has its own size.
    let register = |cx: &Context<'_>, operand: &Operand, ty: Type| -> Result<Type, String> {
        let width = cx.width(operand, ty)?;
        match width < ty.size() || is_float(ty) && width != ty.size() {
            true => Err(format!("a register of {width} bytes where {ty:?} belongs")),
            false => Ok(bits(width)),
        }
    };
    let (wide_to, wide_from) =
        (register(cx, cx.operand(0)?, to)?, register(cx, cx.operand(1)?, from)?);
    // An immediate source has the type itself, so that float constants are read as such.
    let source = match cx.operand(1)? {
        Operand::Register(_) => wide_from,
        _ => from,
    };
    let (d, a) = (cx.target(0, wide_to)?, cx.source(1, source)?);
    let f = Convert {
        to: scalar(to)?,
        from: scalar(from)?,
        round,
        integral,
        saturate,
        relu,
        flush,
        wide_to: wide_to.size() == 8,
        wide_from: source.size() == 8,
    };
    made(Op::Convert { f, d, a })
}

const COMPARES: &[(&str, Compare)] = &[
    ("eq", Compare::Eq),
    ("ne", Compare::Ne),
    ("lt", Compare::Lt),
    ("le", Compare::Le),
    ("gt", Compare::Gt),
    ("ge", Compare::Ge),
    ("lo", Compare::Lt),
    ("ls", Compare::Le),
    ("hi", Compare::Gt),
    ("hs", Compare::Ge),
    ("equ", Compare::Equ),
    ("neu", Compare::Neu),
    ("ltu", Compare::Ltu),
    ("leu", Compare::Leu),
    ("gtu", Compare::Gtu),
    ("geu", Compare::Geu),
    ("num", Compare::Num),
    ("nan", Compare::Nan),
];

const COMBINES: &[(&str, Combine)] =
    &[("and", Combine::And), ("or", Combine::Or), ("xor", Combine::Xor)];

struct Comparison {
    cmp: Compare,
    combine: Combine,
    of: Type,
    ty: CompareType,
}

fn comparison(m: &mut Modifiers<'_>) -> Result<Comparison, String> {
    let cmp = m.need("a comparison", COMPARES)?;
    let combine = m.one_of(COMBINES).unwrap_or(Combine::None);
    let of = m.ty()?;
    let ty = match of {
        Type::U16 | Type::B16 | Type::U32 | Type::B32 => CompareType::U32,
        Type::S16 => CompareType::S16,
        Type::S32 => CompareType::S32,
        Type::U64 | Type::B64 => CompareType::U64,
        Type::S64 => CompareType::S64,
        Type::F32 if m.take("ftz") => CompareType::F32Ftz,
        Type::F32 => CompareType::F32,
        Type::F64 => CompareType::F64,
        Type::F16 => CompareType::F16,
        Type::Bf16 => CompareType::Bf16,
        _ => return Err(format!("no comparison of {of:?}")),
    };
    Ok(Comparison { cmp, combine, of, ty })
}

fn class_of(ty: Type) -> Class {
    match ty {
        Type::F32 => Class::Float32,
        Type::F64 => Class::Float64,
        _ => Class::Integer,
    }
}

/// `setp`.
pub(super) fn set_predicate(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let Comparison { cmp, combine, of, ty } = comparison(m)?;
    let with = combine != Combine::None;
    cx.count(3 + with as usize)?;
    let (d, not) = match cx.operand(0)? {
        Operand::Pair(d, not) => (cx.target_of(d, Type::Pred)?, cx.target_of(not, Type::Pred)?),
        single => (cx.target_of(single, Type::Pred)?, NONE),
    };
    let (a, b) = (cx.source(1, of)?, cx.source(2, of)?);
    let p = if with { cx.predicate(3)? } else { Pred { slot: NONE, negated: false } };
    Ok(Decoded::new(class_of(of), Op::Set { ty, cmp, combine, p, d, not, a, b }))
}

/// `set`: the result is a word, all ones or one for true.
pub(super) fn set(cx: &mut Context<'_>, m: &mut Modifiers<'_>, _: Flow) -> Result<Decoded, String> {
    let cmp = m.need("a comparison", COMPARES)?;
    let combine = m.one_of(COMBINES).unwrap_or(Combine::None);
    let to = m.ty()?;
    let one = match to {
        Type::U32 | Type::S32 => u32::MAX,
        Type::F32 => 1f32.to_bits(),
        _ => return Err(format!("set has no form for {to:?}")),
    };
    let of = m.ty()?;
    let ty = match of {
        Type::U16 | Type::B16 | Type::U32 | Type::B32 => CompareType::U32,
        Type::S16 => CompareType::S16,
        Type::S32 => CompareType::S32,
        Type::U64 | Type::B64 => CompareType::U64,
        Type::S64 => CompareType::S64,
        Type::F32 if m.take("ftz") => CompareType::F32Ftz,
        Type::F32 => CompareType::F32,
        Type::F64 => CompareType::F64,
        _ => return Err(format!("no comparison of {of:?}")),
    };
    let with = combine != Combine::None;
    cx.count(3 + with as usize)?;
    let (d, a, b) = (cx.target(0, to)?, cx.source(1, of)?, cx.source(2, of)?);
    let p = if with { cx.predicate(3)? } else { Pred { slot: NONE, negated: false } };
    Ok(Decoded::new(class_of(of), Op::SetWord { ty, cmp, combine, p, d, one, a, b }))
}

/// `selp`.
pub(super) fn select(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let ty = m.ty()?;
    cx.count(4)?;
    let (d, a, b) = (cx.target(0, ty)?, cx.source(1, ty)?, cx.source(2, ty)?);
    let p = cx.predicate(3)?;
    let op = match ty.size() {
        8 => Op::Select64 { d, a, b, p },
        _ => Op::Select32 { d, a, b, p },
    };
    Ok(Decoded::new(Class::Integer, op))
}

/// `slct`.
pub(super) fn select_sign(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    m.take("ftz");
    let (ty, by) = (m.ty()?, m.ty()?);
    let float = match by {
        Type::F32 => true,
        Type::S32 => false,
        _ => return Err(format!("slct by {by:?}")),
    };
    cx.count(4)?;
    let (d, a, b) = (cx.target(0, ty)?, cx.source(1, ty)?, cx.source(2, ty)?);
    let c = cx.source(3, by)?;
    let wide = ty.size() == 8;
    Ok(Decoded::new(Class::Integer, Op::SelectSign { float, wide, d, a, b, c }))
}

/// `testp`.
pub(super) fn test(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    const TESTS: &[(&str, Test)] = &[
        ("finite", Test::Finite),
        ("infinite", Test::Infinite),
        ("number", Test::Number),
        ("notanumber", Test::NotANumber),
        ("normal", Test::Normal),
        ("subnormal", Test::Subnormal),
    ];
    let f = m.need("a test", TESTS)?;
    let ty = m.ty()?;
    if !matches!(ty, Type::F32 | Type::F64) {
        return Err(format!("testp has no form for {ty:?}"));
    }
    cx.count(2)?;
    let (d, a) = (cx.target(0, Type::Pred)?, cx.source(1, ty)?);
    Ok(Decoded::new(class_of(ty), Op::Test { f, wide: ty == Type::F64, d, a }))
}
