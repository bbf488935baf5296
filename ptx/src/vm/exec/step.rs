//! The loop that runs a warp.

use std::sync::atomic::Ordering;

use super::block::{Arrival, Block};
use super::compare::{combine, compare, logic};
use super::convert::{convert, convert_pair, convert_tf32};
use super::exchange::{self, Misuse};
use super::registers::{FULL, Registers, ballot};
use super::warp::Warp;
use super::{carry, division, float, half, integer, matrix, windows};
use crate::vm::access::WARP;
use crate::vm::fault::{Fault, FaultKind};
use crate::vm::inst::{Class, Compare, Inst, NONE, NOTHING_LEFT, Op, Vote};
use crate::vm::program::{EQUAL, ISSUED};

impl Block<'_> {
    fn found(&self, warp: &Warp, pc: u32, kind: FaultKind, (lane, detail): Misuse) -> Fault {
        Fault { kind, site: self.site(warp.index, pc), lane, detail, other: None }
    }

    /// Runs until the warp arrives at a barrier, or has ended: `None`.
    pub(super) fn run_warp(&mut self, warp: &mut Warp) -> Result<Option<Arrival>, Fault> {
        let code = &self.shape.kernel.code;
        let end = code.len() as u32;
        while let Some(path) = warp.paths.last().copied() {
            if path.mask == 0 || path.pc == path.meet && path.pc != end {
                warp.paths.pop();
                continue;
            }
            if path.pc >= end {
                // Behind the last instruction there is nothing but the end.
                warp.exit(path.mask);
                continue;
            }
            let mut pc = path.pc;
            while let Some(inst) = code.get(pc as usize) {
                let mask = guarded(&warp.registers, inst, path.mask);
                self.count(warp, inst, pc, mask)?;
                if let Some(marks) = self.shape.kernel.issued.get(pc as usize) {
                    marks.fetch_or(marks_of(&warp.registers, inst, mask), Ordering::Relaxed);
                }
                if let Some(wraps) = &mut self.wraps {
                    wraps.before(self.shape.kernel, warp, pc, mask);
                }
                let next = pc + 1;
                match &inst.op {
                    _ if mask == 0 => {}
                    Op::Branch { target, .. } if mask == path.mask => {
                        pc = *target;
                        if pc == path.meet || pc >= end {
                            break;
                        }
                        continue;
                    }
                    Op::Branch { target, meet } => {
                        warp.part(mask, *target, next, *meet);
                        pc = NO_PC;
                        break;
                    }
                    Op::Exit => {
                        warp.exit(mask);
                        pc = next;
                        break;
                    }
                    Op::Barrier { id, threads, arrive, result, d, p } => {
                        self.set_pc(warp, next);
                        let lane = mask.trailing_zeros() as usize & 31;
                        let threads =
                            (*threads != NONE).then(|| warp.registers.word(*threads)[lane]);
                        let holding =
                            if p.slot == NONE { mask } else { warp.registers.predicate(*p) };
                        return Ok(Some(Arrival {
                            pc,
                            id: warp.registers.word(*id)[lane],
                            threads,
                            arrive: *arrive,
                            result: *result,
                            d: *d,
                            holding,
                            mask,
                        }));
                    }
                    _ => self.step(warp, inst, pc, mask)?,
                }
                pc = next;
                if pc == path.meet {
                    break;
                }
            }
            if pc != NO_PC {
                self.set_pc(warp, pc);
            }
        }
        Ok(None)
    }

    fn set_pc(&self, warp: &mut Warp, pc: u32) {
        if let Some(path) = warp.paths.last_mut() {
            path.pc = pc;
        }
    }

    #[inline(always)]
    fn count(&mut self, warp: &Warp, inst: &Inst, pc: u32, mask: u32) -> Result<(), Fault> {
        let lanes = mask.count_ones() as u64;
        self.classes[inst.class as usize] += 1;
        self.counters.lane_instructions += lanes;
        let operations = lanes * inst.flops as u64;
        if inst.class == Class::Matrix {
            self.counters.tensor_flops += operations;
        } else {
            self.counters.flops += operations;
        }
        self.issued += 1;
        if self.issued > self.shape.budget {
            let lane = mask.trailing_zeros() & 31;
            let detail = format!("the block has issued {} warp instructions", self.shape.budget);
            return Err(self.found(warp, pc, FaultKind::Budget, (lane, detail)));
        }
        Ok(())
    }

    /// All lanes of a warp must take part.
    fn whole(&self, warp: &Warp, pc: u32, mask: u32) -> Result<(), Fault> {
        if mask == FULL {
            return Ok(());
        }
        let missing = (!mask).trailing_zeros();
        let detail = format!("lane {missing} does not take part (active lanes {mask:#010x})");
        Err(self.found(warp, pc, FaultKind::InactiveLane, (missing, detail)))
    }

    /// Anything but control flow, for the lanes in `mask`.
    fn step(&mut self, warp: &mut Warp, inst: &Inst, pc: u32, mask: u32) -> Result<(), Fault> {
        let r = &mut warp.registers;
        match inst.op {
            Op::Int32 { f, d, a, b, c } => integer::int32(r, mask, f, d, a, b, c),
            Op::Float32 { f, flush, saturate, d, a, b, c } => {
                float::float32(r, mask, f, flush, saturate, d, a, b, c);
            }
            Op::Int64 { f, d, a, b, c } => integer::int64(r, mask, f, d, a, b, c),
            Op::Load { place, elements, address, ref d } => {
                self.load(warp, (pc, mask), place, elements, address, d)?;
            }
            Op::Store { place, elements, address, ref a } => {
                self.store(warp, (pc, mask), place, elements, address, a)?;
            }
            Op::Mma { f, d, a, b, c } => {
                self.whole(warp, pc, mask)?;
                matrix::mma(&mut warp.registers, f, d, a, b, c);
            }
            Op::LoadMatrix { count, transpose, address, ref d } => {
                self.whole(warp, pc, mask)?;
                self.load_matrix(warp, pc, (count, transpose), address, d)?;
            }
            Op::Move32 { d, a } => {
                let value = *r.word(a);
                r.set_word(d, &value, mask);
            }
            Op::Move64 { d, a } => {
                let value = *r.double(a);
                r.set_double(d, &value, mask);
            }
            Op::Set { ty, cmp, combine: how, p, d, not, a, b } => {
                let value = compare(r, ty, cmp, a, b);
                let with = if p.slot == NONE { 0 } else { r.predicate(p) };
                r.set_predicate(d, combine(how, value, with), mask);
                // The second predicate joins the complement of the comparison.
                r.set_predicate(not, combine(how, !value, with), mask);
            }
            Op::Select32 { d, a, b, p } => {
                let first = r.predicate(p);
                float::select32(r, mask, d, a, b, first);
            }
            Op::Select64 { d, a, b, p } => {
                let first = r.predicate(p);
                float::select64(r, mask, d, a, b, first);
            }
            Op::Convert { f, d, a } => convert(r, mask, f, d, a),
            Op::ConvertPair { f, d, a, b } => convert_pair(r, mask, f, d, a, b),
            Op::WideProduct { f, d, a, b, c } => integer::wide_product(r, mask, f, d, a, b, c),
            Op::Shift64 { f, d, a, b, c } => integer::shift64(r, mask, f, d, a, b, c),
            Op::Lop3 { lut, d, a, b, c } => integer::lop3(r, mask, lut, d, a, b, c),
            Op::Logic { f, d, a, b } => logic(r, mask, f, d, a, b),
            Op::MovePred { d, a } => {
                let value = r.predicate(a);
                r.set_predicate(d, value, mask);
            }
            Op::Shuffle { f, d, p, a, b, c, members } => {
                exchange::check_members(mask, r.word(members))
                    .and_then(|()| exchange::shuffle(r, mask, f, (d, p), (a, b, c)))
                    .map_err(|wrong| self.found(warp, pc, FaultKind::InactiveLane, wrong))?;
            }
            Op::CopyAsync { to, from, bytes, source } => {
                self.copy_issue(warp, (pc, mask), to, from, bytes, source)?;
            }
            Op::CopyCommit => self.shared.copy_commit(warp.index, mask),
            Op::CopyWait { pending: NOTHING_LEFT } => {
                self.shared.copy_commit(warp.index, mask);
                self.shared.copy_wait(warp.index, mask, 0);
            }
            Op::CopyWait { pending } => self.shared.copy_wait(warp.index, mask, pending),
            Op::Directed32 { f, round, flush, saturate, d, a, b, c } => {
                float::directed32(r, mask, f, round, flush, saturate, d, a, b, c);
            }
            Op::Float64 { f, d, a, b, c } => float::float64(r, mask, f, d, a, b, c),
            _ => self.rare(warp, inst, pc, mask)?,
        }
        Ok(())
    }

    /// The instructions that kernels seldom run.
    fn rare(&mut self, warp: &mut Warp, inst: &Inst, pc: u32, mask: u32) -> Result<(), Fault> {
        let r = &mut warp.registers;
        let inactive = FaultKind::InactiveLane;
        match inst.op {
            Op::Bfi32 { d, a, b, c, e } => integer::bfi32(r, mask, d, a, b, c, e),
            Op::Bfi64 { d, a, b, c, e } => integer::bfi64(r, mask, d, a, b, c, e),
            Op::Int16 { f, d, a, b, c } => integer::int16(r, mask, f, d, a, b, c),
            Op::Count64 { f, d, a } => integer::count64(r, mask, f, d, a),
            Op::Divide { f, remainder, d, a, b } => {
                division::divide(r, mask, (f, remainder), d, a, b).map_err(|lane| {
                    let detail = "division by zero has no defined result".to_string();
                    self.found(warp, pc, FaultKind::Trap, (lane, detail))
                })?;
            }
            Op::WideProduct16 { signed, d, a, b, c } => {
                integer::wide_product16(r, mask, signed, d, (a, b, c));
            }
            Op::Carry32 { f, reads, writes, d, a, b, c } => {
                carry::carry32(r, mask, (f, reads, writes), d, (a, b, c));
            }
            Op::Carry64 { f, reads, writes, d, a, b } => {
                carry::carry64(r, mask, (f, reads, writes), d, (a, b));
            }
            Op::Half { f, ty, saturate, d, a, b, c } => {
                half::half(r, mask, (f, ty, saturate), d, (a, b, c));
            }
            Op::SetWord { ty, cmp, combine: how, p, d, one, a, b } => {
                let value = compare(r, ty, cmp, a, b);
                let with = if p.slot == NONE { 0 } else { r.predicate(p) };
                let value = combine(how, value, with);
                let words =
                    std::array::from_fn(|lane| if value >> lane & 1 != 0 { one } else { 0 });
                r.set_word(d, &words, mask);
            }
            Op::SelectSign { float, wide, d, a, b, c } => {
                float::select_sign(r, mask, (float, wide), d, (a, b, c));
            }
            Op::Test { f, wide, d, a } => float::test(r, mask, f, wide, d, a),
            Op::ConvertTf32 { d, a, relu } => convert_tf32(r, mask, d, a, relu),
            Op::Join32 { d, low, high } => {
                r.map2(mask, d, (low, high), |low, high| low & 0xffff | high << 16)
            }
            Op::Split32 { low, high, a } => {
                let value = *r.word(a);
                r.set_word(low, &value.map(|x| x & 0xffff), mask);
                r.set_word(high, &value.map(|x| x >> 16), mask);
            }
            Op::Join64 { d, low, high } => {
                let (low, high) = (r.word(low), r.word(high));
                let value =
                    std::array::from_fn(|lane| (high[lane] as u64) << 32 | low[lane] as u64);
                r.set_double(d, &value, mask);
            }
            Op::Split64 { low, high, a } => {
                let value = *r.double(a);
                r.set_word(low, &value.map(|x| x as u32), mask);
                r.set_word(high, &value.map(|x| (x >> 32) as u32), mask);
            }
            Op::Join4 { d, parts } => {
                let parts = parts.map(|slot| *r.word(slot));
                let value = std::array::from_fn(|lane| {
                    (0..4)
                        .fold(0, |x, part| x | ((parts[part][lane] & 0xffff) as u64) << (16 * part))
                });
                r.set_double(d, &value, mask);
            }
            Op::Split4 { parts, a } => {
                let value = *r.double(a);
                for (part, &slot) in parts.iter().enumerate() {
                    r.set_word(slot, &value.map(|x| (x >> (16 * part)) as u32 & 0xffff), mask);
                }
            }
            Op::Clock { d, wide } => {
                // The only clock that is the same on every machine.
                let now = self.issued;
                match wide {
                    true => r.set_double(d, &[now; WARP], mask),
                    false => r.set_word(d, &[now as u32; WARP], mask),
                }
            }
            Op::ToGeneric { d, a, space } => {
                r.wide1(mask, d, a, |a| a.wrapping_add(windows::base(space)));
            }
            Op::FromGeneric { d, a, space } => {
                r.wide1(mask, d, a, |a| a.wrapping_sub(windows::base(space)));
            }
            Op::IsSpace { d, a, space } => {
                let a = *r.double(a);
                let value = ballot(|lane| windows::space_of(a[lane]) == space);
                r.set_predicate(d, value, mask);
            }
            Op::Atomic { f, place, address, d, a, b } => {
                self.atomic(warp, (pc, mask), place, f, address, (d, a, b))?;
            }
            Op::TransposeMatrix { d, a } => {
                self.whole(warp, pc, mask)?;
                matrix::transpose(&mut warp.registers, d, a);
            }
            Op::Vote { f, d, p, members } => {
                exchange::check_members(mask, r.word(members))
                    .map_err(|wrong| self.found(warp, pc, inactive, wrong))?;
                let r = &mut warp.registers;
                let value = exchange::vote(f, mask, r.predicate(p));
                match f {
                    Vote::Ballot => r.set_word(d, &[value; WARP], mask),
                    _ => r.set_predicate(d, value, mask),
                }
            }
            Op::ActiveMask { d } => r.set_word(d, &[mask; WARP], mask),
            Op::MatchAny { members, .. }
            | Op::MatchAll { members, .. }
            | Op::Redux { members, .. }
            | Op::Elect { members, .. }
            | Op::WarpSync { members } => {
                let members = *r.word(members);
                exchange::check_members(mask, &members)
                    .map_err(|wrong| self.found(warp, pc, inactive, wrong))?;
                self.collective(warp, inst, mask, &members);
            }
            Op::Trap => {
                let lane = mask.trailing_zeros() & 31;
                let detail = "the kernel gave up (trap)".to_string();
                return Err(self.found(warp, pc, FaultKind::Trap, (lane, detail)));
            }
            _ => {}
        }
        Ok(())
    }

    fn collective(&mut self, warp: &mut Warp, inst: &Inst, mask: u32, members: &[u32; WARP]) {
        let r = &mut warp.registers;
        match inst.op {
            Op::MatchAny { wide, d, a, .. } => exchange::match_any(r, mask, wide, d, a, members),
            Op::MatchAll { wide, d, p, a, .. } => {
                exchange::match_all(r, mask, wide, (d, p), a, members);
            }
            Op::Redux { f, d, a, .. } => exchange::redux(r, mask, f, d, a, members),
            Op::Elect { d, p, .. } => {
                let leaders = members.map(|members| members.trailing_zeros());
                r.set_word(d, &leaders, mask);
                r.set_predicate(p, ballot(|lane| leaders[lane] == lane as u32), mask);
            }
            _ => self.shared.warp_sync(warp.index, mask),
        }
    }
}

/// No next instruction: the warp parted.
const NO_PC: u32 = u32::MAX;

/// What a device that traces keeps of an instruction.
#[inline(never)]
fn marks_of(r: &Registers, inst: &Inst, mask: u32) -> u8 {
    match inst.op {
        Op::Set { ty, a, b, .. } if compare(r, ty, Compare::Eq, a, b) & mask != 0 => ISSUED | EQUAL,
        _ => ISSUED,
    }
}

/// The lanes for which the guard holds.
#[inline(always)]
fn guarded(r: &Registers, inst: &Inst, active: u32) -> u32 {
    if inst.guard == NONE {
        return active;
    }
    let holds = r.mask(inst.guard);
    active & if inst.negated { !holds } else { holds }
}
