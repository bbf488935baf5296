//! Branches, returns, barriers and fences.

use super::modifiers::Modifiers;
use super::operands::Context;
use super::{Decoded, Flow};
use crate::vm::ast::{Operand, Type};
use crate::vm::inst::{BarrierResult, Class, NONE, Op, Pred};

fn made(op: Op) -> Result<Decoded, String> {
    Ok(Decoded::new(Class::Control, op))
}

/// `bra`.
pub(super) fn branch(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    flow: Flow,
) -> Result<Decoded, String> {
    m.take("uni");
    cx.count(1)?;
    match cx.operand(0)? {
        Operand::Label(target) => made(Op::Branch { target: *target as u32, meet: flow.meet }),
        _ => Err("a branch to something that is no label".to_string()),
    }
}

/// `ret`, `exit`: the function is an entry point, so both end the thread.
pub(super) fn exit(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    m.take("uni");
    cx.count(0)?;
    made(Op::Exit)
}

/// `trap`.
pub(super) fn trap(
    cx: &mut Context<'_>,
    _: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    cx.count(0)?;
    made(Op::Trap)
}

/// `membar`, `fence`: accesses of a block happen in program order here, and what other blocks
/// write in the same launch may not be read, fence or not.
pub(super) fn fence(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    cx.count(0)?;
    m.take("sc");
    m.take("gl");
    m.drop_hints();
    made(Op::Nothing)
}

/// `nanosleep`: time does not pass here.
pub(super) fn sleep(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    cx.count(1)?;
    match m.ty()? {
        Type::U32 => {
            cx.source(0, Type::U32)?;
            made(Op::Nothing)
        }
        ty => Err(format!("nanosleep has no form for {ty:?}")),
    }
}

/// `bar` and `barrier`. Both are taken as aligned: a warp arrives as a whole.
pub(super) fn barrier(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    let truth = Pred { slot: NONE, negated: false };
    if m.take("warp") {
        m.need(".sync", &[("sync", ())])?;
        cx.count(1)?;
        let members = cx.source(0, Type::B32)?;
        return Ok(Decoded::new(Class::Exchange, Op::WarpSync { members }));
    }
    m.take("cta");
    m.take("aligned");
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Sync,
        Arrive,
        Reduce,
    }
    let kinds = [("sync", Kind::Sync), ("arrive", Kind::Arrive), ("red", Kind::Reduce)];
    let kind = m.need(".sync, .arrive or .red", &kinds)?;
    if kind == Kind::Reduce {
        let results =
            [("popc", BarrierResult::Popc), ("and", BarrierResult::And), ("or", BarrierResult::Or)];
        let result = m.need(".popc, .and or .or", &results)?;
        let ty = m.ty()?;
        if (ty == Type::U32) != (result == BarrierResult::Popc)
            || (ty == Type::Pred) != (result != BarrierResult::Popc)
        {
            return Err(format!("no such reduction to {ty:?}"));
        }
        let last = cx.operands.len().saturating_sub(1);
        let (d, id, p) = (cx.target(0, ty)?, cx.source(1, Type::U32)?, cx.predicate(last)?);
        let threads = match cx.operands.len() {
            3 => NONE,
            4 => cx.source(2, Type::U32)?,
            count => return Err(format!("{count} operands where 3 or 4 belong")),
        };
        return made(Op::Barrier { id, threads, arrive: false, result, d, p });
    }
    let id = cx.source(0, Type::U32)?;
    let threads = match (cx.operands.len(), kind) {
        (1, Kind::Sync) => NONE,
        (2, _) => cx.source(1, Type::U32)?,
        (count, _) => return Err(format!("{count} operands do not belong to this form")),
    };
    let arrive = kind == Kind::Arrive;
    made(Op::Barrier { id, threads, arrive, result: BarrierResult::None, d: NONE, p: truth })
}
