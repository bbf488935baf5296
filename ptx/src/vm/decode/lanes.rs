//! Shuffles, votes and their like.

use super::modifiers::Modifiers;
use super::operands::Context;
use super::{Decoded, Flow};
use crate::vm::ast::{Operand, Type};
use crate::vm::inst::{Class, NONE, Op, Redux, Shuffle, Slot, Vote};

fn made(op: Op) -> Result<Decoded, String> {
    Ok(Decoded::new(Class::Exchange, op))
}

fn sync(m: &mut Modifiers<'_>) -> Result<(), String> {
    m.need(".sync", &[("sync", ())])
}

/// `d` or `d|p`.
fn pair(cx: &mut Context<'_>, ty: Type) -> Result<(Slot, Slot), String> {
    match cx.operand(0)? {
        Operand::Pair(d, p) => Ok((cx.target_of(d, ty)?, cx.target_of(p, Type::Pred)?)),
        single => Ok((cx.target_of(single, ty)?, NONE)),
    }
}

/// `shfl.sync`.
pub(super) fn shuffle(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    sync(m)?;
    const MODES: &[(&str, Shuffle)] = &[
        ("up", Shuffle::Up),
        ("down", Shuffle::Down),
        ("bfly", Shuffle::Butterfly),
        ("idx", Shuffle::Index),
    ];
    let f = m.need("a mode", MODES)?;
    if m.ty()? != Type::B32 {
        return Err("shfl is for b32".to_string());
    }
    cx.count(5)?;
    let (d, p) = pair(cx, Type::B32)?;
    let (a, b) = (cx.source(1, Type::B32)?, cx.source(2, Type::B32)?);
    let (c, members) = (cx.source(3, Type::B32)?, cx.source(4, Type::B32)?);
    made(Op::Shuffle { f, d, p, a, b, c, members })
}

/// `vote.sync`.
pub(super) fn vote(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    sync(m)?;
    const MODES: &[(&str, Vote)] =
        &[("all", Vote::All), ("any", Vote::Any), ("uni", Vote::Uniform), ("ballot", Vote::Ballot)];
    let f = m.need("a mode", MODES)?;
    let ty = m.ty()?;
    if (f == Vote::Ballot) != (ty == Type::B32) || (f != Vote::Ballot) != (ty == Type::Pred) {
        return Err(format!("no such vote of {ty:?}"));
    }
    cx.count(3)?;
    let (d, p, members) = (cx.target(0, ty)?, cx.predicate(1)?, cx.source(2, Type::B32)?);
    made(Op::Vote { f, d, p, members })
}

/// `activemask`.
pub(super) fn active_mask(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    cx.count(1)?;
    match m.ty()? {
        Type::B32 => made(Op::ActiveMask { d: cx.target(0, Type::B32)? }),
        ty => Err(format!("activemask has no form for {ty:?}")),
    }
}

/// `match.sync`.
pub(super) fn matching(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let all = m.need(".any or .all", &[("any", false), ("all", true)])?;
    sync(m)?;
    let ty = m.ty()?;
    if !matches!(ty, Type::B32 | Type::B64) {
        return Err(format!("match has no form for {ty:?}"));
    }
    cx.count(3)?;
    let (d, p) = pair(cx, Type::B32)?;
    let (a, members) = (cx.source(1, ty)?, cx.source(2, Type::B32)?);
    let wide = ty == Type::B64;
    made(match all {
        true => Op::MatchAll { wide, d, p, a, members },
        false if p != NONE => return Err("match.any has no predicate".to_string()),
        false => Op::MatchAny { wide, d, a, members },
    })
}

/// `redux.sync`.
pub(super) fn redux(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    sync(m)?;
    let name = m.need(
        "an operation",
        &[
            ("add", "add"),
            ("min", "min"),
            ("max", "max"),
            ("and", "and"),
            ("or", "or"),
            ("xor", "xor"),
        ],
    )?;
    let ty = m.ty()?;
    let f = match (name, ty) {
        ("add", Type::U32 | Type::S32) => Redux::Add,
        ("min", Type::S32) => Redux::MinS,
        ("min", Type::U32) => Redux::MinU,
        ("max", Type::S32) => Redux::MaxS,
        ("max", Type::U32) => Redux::MaxU,
        ("and", Type::B32) => Redux::And,
        ("or", Type::B32) => Redux::Or,
        ("xor", Type::B32) => Redux::Xor,
        _ => return Err(format!("redux.{name} has no form for {ty:?}")),
    };
    cx.count(3)?;
    let (d, a, members) = (cx.target(0, ty)?, cx.source(1, ty)?, cx.source(2, Type::B32)?);
    made(Op::Redux { f, d, a, members })
}

/// `elect.sync`.
pub(super) fn elect(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    sync(m)?;
    cx.count(2)?;
    let (d, p) = pair(cx, Type::B32)?;
    let members = cx.source(1, Type::B32)?;
    made(Op::Elect { d, p, members })
}
