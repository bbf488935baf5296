//! Loads, stores, atomics and copies of a warp.

use super::block::Block;
use super::local::{Wrong, load_fixed};
use super::registers::{FULL, Registers};
use super::warp::Warp;
use super::windows;
use crate::vm::access::{Lanes, WARP, Wide, lanes};
use crate::vm::ast::Space;
use crate::vm::fault::{Fault, FaultKind};
use crate::vm::inst::{Address, Elements, NONE, Place, Slot};
use crate::vm::memory::Atomic;

/// Addresses of all lanes.
#[inline(always)]
pub(super) fn addresses(r: &Registers, address: Address) -> Lanes<u64> {
    let mut out = [0; WARP];
    let offset = address.offset as i64 as u64;
    if address.wide {
        let base = r.double(address.base);
        for lane in 0..WARP {
            out[lane] = base[lane].wrapping_add(offset);
        }
    } else {
        // Arithmetic of a 32-bit address stays in 32 bits.
        let base = r.word(address.base);
        for lane in 0..WARP {
            out[lane] = base[lane].wrapping_add(offset as u32) as u64;
        }
    }
    out
}

/// Shared addresses; one beyond 32 bits stays beyond every variable.
#[inline(always)]
fn narrow(addresses: &Lanes<u64>) -> Lanes<u32> {
    let mut out = [0; WARP];
    for lane in 0..WARP {
        out[lane] = u32::try_from(addresses[lane]).unwrap_or(!15);
    }
    out
}

/// Loaded elements into their registers.
#[inline(always)]
fn scatter(r: &mut Registers, mask: u32, e: Elements, d: &[Slot; 4], from: &Lanes<Wide>) {
    for (element, &slot) in d.iter().enumerate().take(e.count as usize) {
        match e.bytes {
            8 => {
                let mut out = [0u64; WARP];
                for lane in 0..WARP {
                    let word = 2 * (element & 1);
                    out[lane] = (from[lane][word + 1] as u64) << 32 | from[lane][word] as u64;
                }
                r.set_double(slot, &out, mask);
            }
            4 if !e.wide => {
                let mut out = [0u32; WARP];
                for lane in 0..WARP {
                    out[lane] = from[lane][element];
                }
                r.set_word(slot, &out, mask);
            }
            bytes => {
                let at = element * bytes as usize;
                let unused = 64 - 8 * bytes as u32;
                let mut out = [0u64; WARP];
                for lane in 0..WARP {
                    let x = (from[lane][at / 4] >> (8 * (at % 4))) as u64;
                    out[lane] = match e.signed {
                        true => ((x << unused) as i64 >> unused) as u64,
                        false => x << unused >> unused,
                    };
                }
                if e.wide {
                    r.set_double(slot, &out, mask);
                } else {
                    let keep = if e.short { 0xffff } else { u32::MAX };
                    r.set_word(slot, &out.map(|x| x as u32 & keep), mask);
                }
            }
        }
    }
}

/// Elements to store out of their registers.
#[inline(always)]
fn gather(r: &Registers, e: Elements, a: &[Slot; 4]) -> Lanes<Wide> {
    let mut out = [[0; 4]; WARP];
    for (element, &slot) in a.iter().enumerate().take(e.count as usize) {
        match e.bytes {
            8 => {
                let from = r.double(slot);
                for lane in 0..WARP {
                    let word = 2 * (element & 1);
                    out[lane][word] = from[lane] as u32;
                    out[lane][word + 1] = (from[lane] >> 32) as u32;
                }
            }
            4 if !e.wide => {
                let from = r.word(slot);
                for lane in 0..WARP {
                    out[lane][element] = from[lane];
                }
            }
            bytes => {
                let at = element * bytes as usize;
                let keep = if bytes == 4 { u32::MAX } else { (1 << (8 * bytes)) - 1 };
                let low = if e.wide { r.double(slot).map(|x| x as u32) } else { *r.word(slot) };
                for lane in 0..WARP {
                    out[lane][at / 4] |= (low[lane] & keep) << (8 * (at % 4));
                }
            }
        }
    }
    out
}

/// The lanes of a generic access in each space, with their addresses there.
fn by_space(mask: u32, addresses: &Lanes<u64>) -> Vec<(Space, u32, Lanes<u64>)> {
    let mut parts: Vec<(Space, u32, Lanes<u64>)> = Vec::new();
    for lane in lanes(mask) {
        let space = windows::space_of(addresses[lane]);
        let at = match parts.iter().position(|part| part.0 == space) {
            Some(at) => at,
            None => {
                parts.push((space, 0, [0; WARP]));
                parts.len() - 1
            }
        };
        parts[at].1 |= 1 << lane;
        parts[at].2[lane] = addresses[lane] - windows::base(space);
    }
    parts
}

impl Block<'_> {
    fn wrong(&self, warp: &Warp, pc: u32, (lane, kind, detail): Wrong) -> Fault {
        Fault { kind, site: self.site(warp.index, pc), lane: lane as u32, detail, other: None }
    }

    fn load_from(
        &mut self,
        warp: &Warp,
        pc: u32,
        (space, mask, addresses): (Space, u32, &Lanes<u64>),
        bytes: u32,
        out: &mut Lanes<Wide>,
    ) -> Result<(), Fault> {
        let site = self.site(warp.index, pc);
        match space {
            Space::Global => {
                self.global.load(site, mask, addresses, bytes, out, &mut self.counters)?;
                self.check_fresh(warp, (pc, mask), addresses, bytes, false)
            }
            Space::Shared => {
                let at = narrow(addresses);
                self.shared.load(site, mask, &at, bytes, out, &mut self.counters)
            }
            Space::Local => warp
                .local
                .load(mask, addresses, bytes, out)
                .map_err(|wrong| self.wrong(warp, pc, wrong)),
            Space::Const => {
                let memory = &self.shape.program.constants;
                load_fixed(memory, "const", mask, addresses, bytes, out)
                    .map_err(|wrong| self.wrong(warp, pc, wrong))
            }
            Space::Param => load_fixed(self.shape.parameters, "param", mask, addresses, bytes, out)
                .map_err(|wrong| self.wrong(warp, pc, wrong)),
        }
    }

    /// `ld`.
    pub(super) fn load(
        &mut self,
        warp: &mut Warp,
        (pc, mask): (u32, u32),
        place: Place,
        e: Elements,
        address: Address,
        d: &[Slot; 4],
    ) -> Result<(), Fault> {
        let at = addresses(&warp.registers, address);
        let bytes = e.bytes as u32 * e.count as u32;
        let mut out = [[0; 4]; WARP];
        match place {
            Place::In(space) => self.load_from(warp, pc, (space, mask, &at), bytes, &mut out)?,
            Place::Generic => {
                for (space, mask, at) in by_space(mask, &at) {
                    self.load_from(warp, pc, (space, mask, &at), bytes, &mut out)?;
                }
            }
        }
        scatter(&mut warp.registers, mask, e, d, &out);
        Ok(())
    }

    fn store_to(
        &mut self,
        warp: &mut Warp,
        pc: u32,
        (space, mask, addresses): (Space, u32, &Lanes<u64>),
        bytes: u32,
        values: &Lanes<Wide>,
    ) -> Result<(), Fault> {
        let site = self.site(warp.index, pc);
        match space {
            Space::Global => {
                self.global.store(site, mask, addresses, bytes, values, &mut self.counters)?;
                self.check_fresh(warp, (pc, mask), addresses, bytes, true)
            }
            Space::Shared => {
                let at = narrow(addresses);
                self.shared.store(site, mask, &at, bytes, values, &mut self.counters)
            }
            Space::Local => warp
                .local
                .store(mask, addresses, bytes, values)
                .map_err(|wrong| self.wrong(warp, pc, wrong)),
            Space::Const | Space::Param => {
                let lane = mask.trailing_zeros() as usize & 31;
                let detail = format!("a store to {space:?} memory");
                Err(self.wrong(warp, pc, (lane, FaultKind::OutOfBounds, detail)))
            }
        }
    }

    /// `st`.
    pub(super) fn store(
        &mut self,
        warp: &mut Warp,
        (pc, mask): (u32, u32),
        place: Place,
        e: Elements,
        address: Address,
        a: &[Slot; 4],
    ) -> Result<(), Fault> {
        let at = addresses(&warp.registers, address);
        let bytes = e.bytes as u32 * e.count as u32;
        let values = gather(&warp.registers, e, a);
        match place {
            Place::In(space) => self.store_to(warp, pc, (space, mask, &at), bytes, &values),
            Place::Generic => {
                for (space, mask, at) in by_space(mask, &at) {
                    self.store_to(warp, pc, (space, mask, &at), bytes, &values)?;
                }
                Ok(())
            }
        }
    }

    /// `atom`, `red`.
    pub(super) fn atomic(
        &mut self,
        warp: &mut Warp,
        (pc, mask): (u32, u32),
        place: Place,
        f: Atomic,
        address: Address,
        (d, a, b): (Slot, Slot, Slot),
    ) -> Result<(), Fault> {
        let wide = f.ty.size() == 8;
        let read = |slot: Slot| match wide {
            true => *warp.registers.double(slot),
            false => warp.registers.word(slot).map(u64::from),
        };
        // `cas` has the comparand first.
        let (operands, compare) = match f.op {
            crate::vm::memory::AtomicOp::CompareExchange => (read(b), read(a)),
            _ => (read(a), read(a)),
        };
        let at = addresses(&warp.registers, address);
        let mut old = [0; WARP];
        let site = self.site(warp.index, pc);
        let parts = match place {
            Place::In(space) => vec![(space, mask, at)],
            Place::Generic => by_space(mask, &at),
        };
        for (space, mask, at) in parts {
            let counters = &mut self.counters;
            match space {
                Space::Global => self
                    .global
                    .atomic(site, mask, &at, f, &operands, &compare, &mut old, counters)?,
                Space::Shared => {
                    let at = narrow(&at);
                    self.shared
                        .atomic(site, mask, &at, f, &operands, &compare, &mut old, counters)?;
                }
                other => {
                    let lane = mask.trailing_zeros() as usize & 31;
                    let detail = format!("an atomic on {other:?} memory");
                    return Err(self.wrong(warp, pc, (lane, FaultKind::OutOfBounds, detail)));
                }
            }
        }
        if d != NONE {
            match wide {
                true => warp.registers.set_double(d, &old, mask),
                false => warp.registers.set_word(d, &old.map(|x| x as u32), mask),
            }
        }
        Ok(())
    }

    /// `cp.async`.
    pub(super) fn copy_issue(
        &mut self,
        warp: &Warp,
        (pc, mask): (u32, u32),
        to: Address,
        from: Address,
        bytes: u8,
        source: Slot,
    ) -> Result<(), Fault> {
        let destinations = narrow(&addresses(&warp.registers, to));
        let sources = addresses(&warp.registers, from);
        let source_bytes = warp.registers.word(source);
        if let Some(lane) = lanes(mask).find(|&lane| source_bytes[lane] > bytes as u32) {
            let detail = format!("{} source bytes of a copy of {bytes}", source_bytes[lane]);
            return Err(self.wrong(warp, pc, (lane, FaultKind::Trap, detail)));
        }
        self.shared.copy_issue(
            self.site(warp.index, pc),
            mask,
            &destinations,
            &sources,
            bytes as u32,
            source_bytes,
            &mut self.global,
            &mut self.counters,
        )
    }

    /// `ldmatrix`, by the whole warp.
    pub(super) fn load_matrix(
        &mut self,
        warp: &mut Warp,
        pc: u32,
        (count, transpose): (u8, bool),
        address: Address,
        d: &[Slot; 4],
    ) -> Result<(), Fault> {
        let at = narrow(&addresses(&warp.registers, address));
        // Lanes 8 i to 8 i + 7 give the rows of matrix i.
        let givers = if count == 4 { FULL } else { (1 << (8 * count as u32)) - 1 };
        let mut rows = [[0; 4]; WARP];
        let site = self.site(warp.index, pc);
        self.shared.load(site, givers, &at, 16, &mut rows, &mut self.counters)?;
        for (matrix, &slot) in d.iter().enumerate().take(count as usize) {
            let rows = &rows[8 * matrix..8 * matrix + 8];
            let mut out = [0; WARP];
            for g in 0..8 {
                for t in 0..4 {
                    out[4 * g + t] = if transpose {
                        let half = |row: usize| rows[row][g / 2] >> (16 * (g % 2)) & 0xffff;
                        half(2 * t) | half(2 * t + 1) << 16
                    } else {
                        rows[g][t]
                    };
                }
            }
            warp.registers.set_word(slot, &out, FULL);
        }
        Ok(())
    }
}
