//! A warp: its registers and where its lanes are.

use super::local::LocalMemory;
use super::registers::{FULL, Registers};
use crate::vm::access::WARP;
use crate::vm::inst::Slot;
use crate::vm::program::{Kernel, Preset, Special};

/// Lanes that run together until they meet the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// Next instruction.
    pub(super) pc: u32,
    /// Where the lanes of the path below wait.
    pub(super) meet: u32,
    /// Its lanes.
    pub(super) mask: u32,
}

/// What a waiting warp gets when its barrier completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    /// A word in the active lanes.
    Word(Slot),
    /// A predicate in the active lanes.
    Predicate(Slot),
}

/// Whether a warp can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// At a barrier, by its number; the instruction is at `pc`.
    Waiting {
        barrier: usize,
        pc: u32,
        wanted: Wanted,
    },
    Done,
}

/// A warp of a running block.
#[derive(Clone, Debug)]
pub(super) struct Warp {
    pub(super) index: u32,
    pub(super) registers: Registers,
    pub(super) local: LocalMemory,
    /// Paths that the lanes took apart, the running one last.
    pub(super) paths: Vec<Path>,
    /// Lanes that the block has in this warp.
    pub(super) born: u32,
    /// Lanes that have not exited.
    pub(super) live: u32,
    pub(super) state: State,
}

/// What the special registers say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) dynamic_shared: u32,
}

impl Geometry {
    /// Threads of a block.
    pub(super) fn threads(&self) -> u32 {
        self.block[0] * self.block[1] * self.block[2]
    }

    /// Warps of a block.
    pub(super) fn warps(&self) -> u32 {
        self.threads().div_ceil(WARP as u32)
    }
}

impl Warp {
    /// A warp for blocks of this kernel and shape.
    pub(super) fn new(kernel: &Kernel, geometry: &Geometry, index: u32) -> Self {
        let registers = Registers::new(kernel.words, kernel.doubles, kernel.predicates);
        let left = geometry.threads() - index * WARP as u32;
        let born = if left >= WARP as u32 { FULL } else { (1 << left) - 1 };
        Self {
            index,
            registers,
            local: LocalMemory::default(),
            paths: Vec::new(),
            born,
            live: 0,
            state: State::Done,
        }
    }

    /// Ready for the first instruction of block `at`.
    pub(super) fn reset(&mut self, kernel: &Kernel, geometry: &Geometry, at: [u32; 3]) {
        self.registers.clear();
        for preset in &kernel.presets {
            match *preset {
                Preset::Word(slot, value) => self.registers.fill_word(slot, value),
                Preset::Double(slot, value) => self.registers.fill_double(slot, value),
                Preset::Predicate(slot) => self.registers.set_predicate(slot, FULL, FULL),
                Preset::Special(slot, special) => {
                    let words = std::array::from_fn(|lane| {
                        self.special(special, geometry, at, lane as u32)
                    });
                    self.registers.set_word(slot, &words, FULL);
                }
            }
        }
        if kernel.local > 0 {
            self.local.reset(kernel.local as usize);
        }
        self.paths.clear();
        let end = kernel.code.len() as u32;
        self.paths.push(Path { pc: 0, meet: end, mask: self.born });
        self.live = self.born;
        self.state = State::Ready;
    }

    fn special(&self, special: Special, geometry: &Geometry, at: [u32; 3], lane: u32) -> u32 {
        let [x, y, _] = geometry.block;
        let thread = self.index * WARP as u32 + lane;
        let bit = 1u32 << lane;
        match special {
            Special::Thread(0) => thread % x,
            Special::Thread(1) => thread / x % y,
            Special::Thread(_) => thread / (x * y),
            Special::Threads(axis) => geometry.block[axis as usize],
            Special::Block(axis) => at[axis as usize],
            Special::Blocks(axis) => geometry.grid[axis as usize],
            Special::Lane => lane,
            Special::Warp => self.index,
            Special::Warps => geometry.warps(),
            Special::LanesEqual => bit,
            Special::LanesBelow => bit - 1,
            Special::LanesUpTo => bit | (bit - 1),
            Special::LanesAbove => !(bit | (bit - 1)),
            Special::LanesFrom => !(bit - 1),
            Special::WarpSize => WARP as u32,
            Special::Processor => 0,
            Special::Processors => 1,
            Special::DynamicShared => geometry.dynamic_shared,
        }
    }

    /// The lanes of `mask` end.
    pub(super) fn exit(&mut self, mask: u32) {
        self.live &= !mask;
        for path in &mut self.paths {
            path.mask &= !mask;
        }
    }

    /// Parts the running path: the lanes of `taken` go to `target`, the others on to the next
    /// instruction; both stop at `meet`, where the path below goes on with all of them. A lane
    /// that goes straight to `meet` has nothing to run. The lanes that go on run last.
    pub(super) fn part(&mut self, taken: u32, target: u32, next: u32, meet: u32) {
        let Some(path) = self.paths.last_mut() else { return };
        let others = path.mask & !taken;
        // In a loop whose lanes leave one by one the path below is already the meeting point.
        let waits_below = path.meet == meet;
        path.pc = meet;
        if waits_below && self.paths.len() > 1 {
            self.paths.pop();
        }
        if next != meet {
            self.paths.push(Path { pc: next, meet, mask: others });
        }
        if target != meet {
            self.paths.push(Path { pc: target, meet, mask: taken });
        }
    }
}
