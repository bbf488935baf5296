//! Arithmetic on integers and floats: the mnemonics that both share.

use super::integer;
use super::modifiers::Modifiers;
use super::operands::Context;
use super::{Decoded, Flow};
use crate::vm::ast::Type;
use crate::vm::inst::{
    Class, Divide, Float32, Float64, Half, HalfType, Int16, Int32, Int64, Op, Round,
};

const ROUNDS: &[(&str, Round)] =
    &[("rn", Round::Nearest), ("rz", Round::Zero), ("rm", Round::Down), ("rp", Round::Up)];

/// Flush to zero and saturation of an f32 form.
struct Mode {
    round: Round,
    flush: bool,
    saturate: bool,
}

fn mode(m: &mut Modifiers<'_>) -> Mode {
    let round = m.one_of(ROUNDS).unwrap_or(Round::Nearest);
    Mode { round, flush: m.take("ftz"), saturate: m.take("sat") }
}

fn half_type(ty: Type) -> Option<HalfType> {
    match ty {
        Type::F16 => Some(HalfType::F16),
        Type::F16x2 => Some(HalfType::F16x2),
        Type::Bf16 => Some(HalfType::Bf16),
        Type::Bf16x2 => Some(HalfType::Bf16x2),
        _ => None,
    }
}

/// An f32 operation of up to three sources.
fn float32(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    f: Float32,
    sources: usize,
) -> Result<Decoded, String> {
    let Mode { round, flush, saturate } = mode(m);
    cx.count(1 + sources)?;
    let d = cx.target(0, Type::F32)?;
    let a = cx.source(1, Type::F32)?;
    let b = if sources > 1 { cx.source(2, Type::F32)? } else { a };
    let c = if sources > 2 { cx.source(3, Type::F32)? } else { b };
    let op = match round {
        Round::Nearest => Op::Float32 { f, flush, saturate, d, a, b, c },
        _ => Op::Directed32 { f, round, flush, saturate, d, a, b, c },
    };
    let flops = match f {
        Float32::Fma => 2,
        Float32::Neg | Float32::Abs | Float32::Copysign => 0,
        _ => 1,
    };
    Ok(Decoded::new(Class::Float32, op).with_flops(flops))
}

/// An f64 operation of up to three sources.
fn float64(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    f: Float64,
    sources: usize,
) -> Result<Decoded, String> {
    if !matches!(m.one_of(ROUNDS), None | Some(Round::Nearest)) {
        return Err("f64 arithmetic rounds to nearest only".to_string());
    }
    cx.count(1 + sources)?;
    let d = cx.target(0, Type::F64)?;
    let a = cx.source(1, Type::F64)?;
    let b = if sources > 1 { cx.source(2, Type::F64)? } else { a };
    let c = if sources > 2 { cx.source(3, Type::F64)? } else { b };
    Ok(Decoded::new(Class::Float64, Op::Float64 { f, d, a, b, c }))
}

/// Arithmetic on halves, of up to three sources.
fn half(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    (f, ty, of): (Half, HalfType, Type),
    sources: usize,
) -> Result<Decoded, String> {
    if !matches!(m.one_of(ROUNDS), None | Some(Round::Nearest)) {
        return Err(format!("{of:?} arithmetic rounds to nearest only"));
    }
    let saturate = m.take("sat");
    cx.count(1 + sources)?;
    let d = cx.target(0, of)?;
    let a = cx.source(1, of)?;
    let b = if sources > 1 { cx.source(2, of)? } else { a };
    let c = if sources > 2 { cx.source(3, of)? } else { b };
    Ok(Decoded::new(Class::Float32, Op::Half { f, ty, saturate, d, a, b, c }))
}

/// An integer operation of up to three sources, by its width.
fn integer(
    cx: &mut Context<'_>,
    ty: Type,
    (f16, f32, f64): (Option<Int16>, Option<Int32>, Option<Int64>),
    sources: usize,
) -> Result<Decoded, String> {
    cx.count(1 + sources)?;
    let d = cx.target(0, ty)?;
    let a = cx.source(1, ty)?;
    let b = if sources > 1 { cx.source(2, ty)? } else { a };
    let c = if sources > 2 { cx.source(3, ty)? } else { b };
    let op = match (ty.size(), f16, f32, f64) {
        (2, Some(f), _, _) => Op::Int16 { f, d, a, b, c },
        (4, _, Some(f), _) => Op::Int32 { f, d, a, b, c },
        (8, _, _, Some(f)) => Op::Int64 { f, d, a, b, c },
        _ => return Err(format!("no form for {ty:?}")),
    };
    Ok(Decoded::new(Class::Integer, op))
}

fn signed(ty: Type) -> bool {
    matches!(ty, Type::S16 | Type::S32 | Type::S64)
}

fn is_integer(ty: Type) -> bool {
    signed(ty) || matches!(ty, Type::U16 | Type::U32 | Type::U64)
}

fn no_form(m: &Modifiers<'_>, ty: Type) -> String {
    format!("{} has no form for {ty:?}", m.base())
}

/// Which half of a product is kept.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Low,
    High,
    Wide,
}

const PARTS: &[(&str, Part)] = &[("lo", Part::Low), ("hi", Part::High), ("wide", Part::Wide)];

/// `add`, `sub`, `mul`.
pub(super) fn binary(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let base = m.base();
    let ty = m.ty()?;
    if ty == Type::F32 {
        let f = match base {
            "add" => Float32::Add,
            "sub" => Float32::Sub,
            _ => Float32::Mul,
        };
        return float32(cx, m, f, 2);
    }
    if ty == Type::F64 {
        let f = match base {
            "add" => Float64::Add,
            "sub" => Float64::Sub,
            _ => Float64::Mul,
        };
        return float64(cx, m, f, 2);
    }
    if let Some(of) = half_type(ty) {
        let f = match base {
            "add" => Half::Add,
            "sub" => Half::Sub,
            _ => Half::Mul,
        };
        m.take("ftz");
        return half(cx, m, (f, of, ty), 2);
    }
    if !is_integer(ty) {
        return Err(no_form(m, ty));
    }
    if base == "mul" {
        return match (m.need(".lo, .hi or .wide", PARTS)?, signed(ty)) {
            (Part::Low, _) => {
                integer(cx, ty, (Some(Int16::Mul), Some(Int32::Mul), Some(Int64::Mul)), 2)
            }
            (Part::High, true) => {
                let f = (Some(Int16::MulHiS), Some(Int32::MulHiS), Some(Int64::MulHiS));
                integer(cx, ty, f, 2)
            }
            (Part::High, false) => {
                let f = (Some(Int16::MulHiU), Some(Int32::MulHiU), Some(Int64::MulHiU));
                integer(cx, ty, f, 2)
            }
            (Part::Wide, signed) => integer::wide_product(cx, ty, signed, false),
        };
    }
    if m.take("cc") {
        return integer::with_carry(cx, base, ty, false, true);
    }
    let saturate = m.take("sat");
    if saturate && ty != Type::S32 {
        return Err(format!("{base}.sat is for s32 only"));
    }
    match (base, saturate) {
        ("add", false) => {
            integer(cx, ty, (Some(Int16::Add), Some(Int32::Add), Some(Int64::Add)), 2)
        }
        ("add", true) => integer(cx, ty, (None, Some(Int32::AddSat), None), 2),
        (_, false) => integer(cx, ty, (Some(Int16::Sub), Some(Int32::Sub), Some(Int64::Sub)), 2),
        (_, true) => integer(cx, ty, (None, Some(Int32::SubSat), None), 2),
    }
}

/// `fma` and `mad`.
pub(super) fn fused(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let base = m.base();
    let ty = m.ty()?;
    match ty {
        Type::F32 => return float32(cx, m, Float32::Fma, 3),
        Type::F64 => return float64(cx, m, Float64::Fma, 3),
        _ => {}
    }
    if let Some(of) = half_type(ty) {
        m.take("ftz");
        let f = if m.take("relu") { Half::FmaRelu } else { Half::Fma };
        return half(cx, m, (f, of, ty), 3);
    }
    if base != "mad" || !is_integer(ty) {
        return Err(no_form(m, ty));
    }
    let part = m.need(".lo, .hi or .wide", PARTS)?;
    if m.take("cc") {
        return integer::product_with_carry(cx, part == Part::High, ty, false, true);
    }
    match (part, signed(ty)) {
        (Part::Low, _) => {
            integer(cx, ty, (Some(Int16::Mad), Some(Int32::Mad), Some(Int64::Mad)), 3)
        }
        (Part::High, true) => integer(cx, ty, (None, Some(Int32::MadHiS), Some(Int64::MadHiS)), 3),
        (Part::High, false) => integer(cx, ty, (None, Some(Int32::MadHiU), Some(Int64::MadHiU)), 3),
        (Part::Wide, signed) => integer::wide_product(cx, ty, signed, true),
    }
}

/// `neg`, `abs`.
pub(super) fn unary(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let negate = m.base() == "neg";
    let ty = m.ty()?;
    match ty {
        Type::F32 => float32(cx, m, if negate { Float32::Neg } else { Float32::Abs }, 1),
        Type::F64 => float64(cx, m, if negate { Float64::Neg } else { Float64::Abs }, 1),
        _ if half_type(ty).is_some() => {
            let of = half_type(ty).ok_or_else(|| no_form(m, ty))?;
            m.take("ftz");
            half(cx, m, (if negate { Half::Neg } else { Half::Abs }, of, ty), 1)
        }
        _ if signed(ty) && negate => {
            integer(cx, ty, (Some(Int16::Neg), Some(Int32::Neg), Some(Int64::Neg)), 1)
        }
        _ if signed(ty) => {
            integer(cx, ty, (Some(Int16::Abs), Some(Int32::Abs), Some(Int64::Abs)), 1)
        }
        _ => Err(no_form(m, ty)),
    }
}

/// `min`, `max`.
pub(super) fn extreme(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let least = m.base() == "min";
    let ty = m.ty()?;
    let nan = m.take("NaN");
    match ty {
        Type::F32 => {
            let f = match (least, nan) {
                (true, false) => Float32::Min,
                (false, false) => Float32::Max,
                (true, true) => Float32::MinNan,
                (false, true) => Float32::MaxNan,
            };
            return float32(cx, m, f, 2);
        }
        Type::F64 if !nan => {
            return float64(cx, m, if least { Float64::Min } else { Float64::Max }, 2);
        }
        _ => {}
    }
    if let Some(of) = half_type(ty) {
        m.take("ftz");
        let f = match (least, nan) {
            (true, false) => Half::Min,
            (false, false) => Half::Max,
            (true, true) => Half::MinNan,
            (false, true) => Half::MaxNan,
        };
        return half(cx, m, (f, of, ty), 2);
    }
    if nan || !is_integer(ty) {
        return Err(no_form(m, ty));
    }
    let f = match (least, signed(ty)) {
        (true, true) => (Some(Int16::MinS), Some(Int32::MinS), Some(Int64::MinS)),
        (true, false) => (Some(Int16::MinU), Some(Int32::MinU), Some(Int64::MinU)),
        (false, true) => (Some(Int16::MaxS), Some(Int32::MaxS), Some(Int64::MaxS)),
        (false, false) => (Some(Int16::MaxU), Some(Int32::MaxU), Some(Int64::MaxU)),
    };
    integer(cx, ty, f, 2)
}

/// `div`, `rem`.
pub(super) fn divide(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let remainder = m.base() == "rem";
    let ty = m.ty()?;
    match ty {
        // The quotient rounded once is within what `.full` and `.approx` may give.
        Type::F32 if !remainder => {
            let approximate = m.take("full") || m.take("approx");
            let decoded = float32(cx, m, Float32::Div, 2)?;
            return Ok(if approximate {
                Decoded { class: Class::Special, ..decoded }
            } else {
                decoded
            });
        }
        Type::F64 if !remainder => return float64(cx, m, Float64::Div, 2),
        _ => {}
    }
    let f = match ty {
        Type::S16 => Divide::S16,
        Type::U16 => Divide::U16,
        Type::S32 => Divide::S32,
        Type::U32 => Divide::U32,
        Type::S64 => Divide::S64,
        Type::U64 => Divide::U64,
        _ => return Err(no_form(m, ty)),
    };
    cx.count(3)?;
    let (d, a, b) = (cx.target(0, ty)?, cx.source(1, ty)?, cx.source(2, ty)?);
    Ok(Decoded::new(Class::Integer, Op::Divide { f, remainder, d, a, b }))
}

/// `copysign`.
pub(super) fn copysign(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    match m.ty()? {
        Type::F32 => float32(cx, m, Float32::Copysign, 2),
        Type::F64 => float64(cx, m, Float64::Copysign, 2),
        ty => Err(no_form(m, ty)),
    }
}

/// `rcp`, `sqrt`, `rsqrt`, `ex2`, `lg2`, `sin`, `cos`, `tanh`.
pub(super) fn approximate(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let base = m.base();
    let approximate = m.take("approx");
    let ty = m.ty()?;
    // Only rcp and sqrt have forms that are rounded as IEEE 754 asks.
    if !approximate && !matches!(base, "rcp" | "sqrt") {
        return Err(format!("{base} needs .approx"));
    }
    let special = |decoded: Decoded| Decoded { class: Class::Special, ..decoded };
    if ty == Type::F64 {
        let ftz = m.take("ftz");
        let f = match (base, approximate, ftz) {
            ("rcp", false, false) => Float64::Rcp,
            ("sqrt", false, false) => Float64::Sqrt,
            ("rcp", true, true) => Float64::RcpApprox,
            ("rsqrt", true, true) => Float64::RsqrtApprox,
            ("rsqrt", true, false) => Float64::Rsqrt,
            _ => return Err(no_form(m, ty)),
        };
        return float64(cx, m, f, 1).map(special);
    }
    if let Some(of) = half_type(ty) {
        let f = match base {
            "ex2" => Half::Ex2,
            "tanh" => Half::Tanh,
            _ => return Err(no_form(m, ty)),
        };
        m.take("ftz");
        return half(cx, m, (f, of, ty), 1).map(special);
    }
    let f = match base {
        "rcp" => Float32::Rcp,
        "sqrt" => Float32::Sqrt,
        "rsqrt" => Float32::Rsqrt,
        "ex2" => Float32::Ex2,
        "lg2" => Float32::Lg2,
        "sin" => Float32::Sin,
        "cos" => Float32::Cos,
        _ => Float32::Tanh,
    };
    match ty {
        Type::F32 => float32(cx, m, f, 1).map(special),
        _ => Err(no_form(m, ty)),
    }
}
