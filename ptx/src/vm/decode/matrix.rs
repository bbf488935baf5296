//! Matrix products and the loads of their fragments.

use super::modifiers::Modifiers;
use super::operands::Context;
use super::{Decoded, Flow};
use crate::vm::ast::{Operand, Space, Type};
use crate::vm::inst::{Class, Matrix, NONE, Op, Slot};

/// Slots of a fragment of exactly `N` registers.
fn sources<const N: usize>(
    cx: &mut Context<'_>,
    index: usize,
    count: usize,
    ty: Type,
) -> Result<[Slot; N], String> {
    let parts = cx.vector(index)?;
    if parts.len() != count {
        return Err(format!("{} registers where {count} belong", parts.len()));
    }
    let mut slots = [NONE; N];
    for (to, part) in slots.iter_mut().zip(parts) {
        *to = cx.source_of(part, ty)?;
    }
    Ok(slots)
}

fn targets(
    cx: &mut Context<'_>,
    index: usize,
    count: usize,
    ty: Type,
) -> Result<[Slot; 4], String> {
    let parts = cx.vector(index)?;
    if parts.len() != count {
        return Err(format!("{} registers where {count} belong", parts.len()));
    }
    let mut slots = [NONE; 4];
    for (to, part) in slots.iter_mut().zip(parts) {
        *to = cx.target_of(part, ty)?;
    }
    Ok(slots)
}

/// `mma.sync`.
pub(super) fn mma(cx: &mut Context<'_>, m: &mut Modifiers<'_>, _: Flow) -> Result<Decoded, String> {
    m.need(".sync", &[("sync", ())])?;
    m.need(".aligned", &[("aligned", ())])?;
    let depth = m.need("a known shape", &[("m16n8k16", 16), ("m16n8k8", 8), ("m16n8k4", 4u16)])?;
    m.need(".row", &[("row", ())])?;
    m.need(".col", &[("col", ())])?;
    let types = [m.ty()?, m.ty()?, m.ty()?, m.ty()?];
    let [Type::F32, of, same, Type::F32] = types else {
        return Err(format!("no matrix product of {types:?}"));
    };
    let (f, left, right) = match (of == same, of, depth) {
        (true, Type::Bf16, 16) => (Matrix::Bf16K16, 4, 2),
        (true, Type::Bf16, 8) => (Matrix::Bf16K8, 2, 1),
        (true, Type::F16, 16) => (Matrix::F16K16, 4, 2),
        (true, Type::F16, 8) => (Matrix::F16K8, 2, 1),
        (true, Type::Tf32, 8) => (Matrix::Tf32K8, 4, 2),
        (true, Type::Tf32, 4) => (Matrix::Tf32K4, 2, 1),
        _ => return Err(format!("no matrix product of {of:?} and {same:?} at k {depth}")),
    };
    cx.count(4)?;
    let d = targets(cx, 0, 4, Type::F32)?;
    let a = sources(cx, 1, left, Type::B32)?;
    let b = sources(cx, 2, right, Type::B32)?;
    let c = sources(cx, 3, 4, Type::F32)?;
    // Per lane: 16 x 8 x k multiply-adds over 32 lanes.
    Ok(Decoded::new(Class::Matrix, Op::Mma { f, d, a, b, c }).with_flops(8 * depth))
}

/// `ldmatrix`.
pub(super) fn load(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    m.need(".sync", &[("sync", ())])?;
    m.need(".aligned", &[("aligned", ())])?;
    m.need(".m8n8", &[("m8n8", ())])?;
    let count = m.need(".x1, .x2 or .x4", &[("x1", 1u8), ("x2", 2), ("x4", 4)])?;
    let transpose = m.take("trans");
    m.need(".shared", &[("shared", ()), ("shared::cta", ())])?;
    match m.ty()? {
        Type::B16 => {}
        ty => return Err(format!("ldmatrix has no form for {ty:?}")),
    }
    cx.count(2)?;
    let d = targets(cx, 0, count as usize, Type::B32)?;
    let address = cx.address(1, Some(Space::Shared))?;
    Ok(Decoded::new(Class::Memory, Op::LoadMatrix { count, transpose, address, d }))
}

/// `movmatrix`.
pub(super) fn transpose(
    cx: &mut Context<'_>,
    m: &mut Modifiers<'_>,
    _: Flow,
) -> Result<Decoded, String> {
    for part in ["sync", "aligned", "m8n8", "trans"] {
        if !m.take(part) {
            return Err(format!("movmatrix needs .{part}"));
        }
    }
    match (m.ty()?, cx.operand(0)?) {
        (Type::B16, Operand::Register(_)) => {}
        (ty, _) => return Err(format!("movmatrix has no form for {ty:?}")),
    }
    cx.count(2)?;
    let (d, a) = (cx.target(0, Type::B32)?, cx.source(1, Type::B32)?);
    Ok(Decoded::new(Class::Matrix, Op::TransposeMatrix { d, a }))
}
