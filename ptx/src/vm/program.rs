//! A PTX module, decoded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use super::ast::{Function, Parameter};
use super::inst::{Inst, Slot};

/// A loaded PTX module.
#[derive(Debug)]
pub struct Program {
    pub(super) kernels: Vec<Kernel>,
    /// Lines of the text, for reports.
    pub(super) text: Vec<String>,
    /// `.file` table: number and path.
    pub(super) files: Vec<(u32, String)>,
    /// Contents of the const variables; addresses count from 0.
    pub(super) constants: Vec<u8>,
}

impl Program {
    /// Names of the entry points, in the order of the text.
    pub fn entries(&self) -> Vec<String> {
        self.kernels.iter().map(|kernel| kernel.name.clone()).collect()
    }

    /// Lines of the text with an instruction of `entry` that some warp came to, whether or not
    /// its guard held; and whether it is a comparison that a lane made of two equal values. Empty
    /// unless the device traces ([`Config::trace`](super::Config)).
    pub fn issued(&self, entry: &str) -> BTreeMap<u32, bool> {
        let mut lines = BTreeMap::new();
        let kernel = self.kernels.iter().find(|kernel| kernel.name == entry);
        if let Some(kernel) = kernel {
            for (inst, marks) in kernel.function.body.iter().zip(&kernel.issued) {
                let marks = marks.load(Ordering::Relaxed);
                if marks & ISSUED != 0 {
                    *lines.entry(inst.line).or_default() |= marks & EQUAL != 0;
                }
            }
        }
        lines
    }

    /// Forgets what [`Program::issued`] says.
    pub fn forget_issued(&self) {
        let marks = self.kernels.iter().flat_map(|kernel| &kernel.issued);
        marks.for_each(|marks| marks.store(0, Ordering::Relaxed));
    }

    /// A line of the text, trimmed.
    pub(super) fn line(&self, line: u32) -> String {
        let line = (line as usize).checked_sub(1).and_then(|line| self.text.get(line));
        line.map(|line| line.trim().to_string()).unwrap_or_default()
    }

    /// Where an instruction comes from in the CUDA source.
    pub(super) fn source(&self, source: Option<(u32, u32)>) -> Option<(String, u32)> {
        let (file, line) = source?;
        let name = self.files.iter().find(|(number, _)| *number == file);
        Some((name.map_or_else(|| format!("file {file}"), |(_, name)| name.clone()), line))
    }
}

/// Mark of an instruction that was issued.
pub(super) const ISSUED: u8 = 1;
/// Mark of a comparison of equal values.
pub(super) const EQUAL: u8 = 2;

/// A decoded entry point.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) name: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) required_threads: Option<[u32; 3]>,
    pub(super) maximum_threads: Option<[u32; 3]>,
    pub(super) code: Vec<Inst>,
    /// Marks of the instructions, on a device that traces; empty elsewhere.
    pub(super) issued: Vec<AtomicU8>,
    /// The parsed form, instruction by instruction.
    pub(super) function: Function,
    /// Slot of each declared register.
    pub(super) slots: Vec<Slot>,
    pub(super) words: usize,
    pub(super) doubles: usize,
    pub(super) predicates: usize,
    pub(super) presets: Vec<Preset>,
    /// Extents of the static shared variables, ascending.
    pub(super) shared: Vec<Range<u32>>,
    /// Where dynamic shared memory begins.
    pub(super) dynamic: u32,
    /// Bytes of local memory of a thread.
    pub(super) local: u32,
    /// There are barriers for a part of the warps.
    pub(super) subsets: bool,
}

/// What a slot that no instruction writes holds from the start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Preset {
    Word(Slot, u32),
    Double(Slot, u64),
    /// A predicate that holds.
    Predicate(Slot),
    Special(Slot, Special),
}

/// Special registers that do not change while a block runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Special {
    /// Thread in the block: x, y, z.
    Thread(u8),
    /// Threads of a block.
    Threads(u8),
    /// Block in the grid.
    Block(u8),
    /// Blocks of the grid.
    Blocks(u8),
    Lane,
    Warp,
    Warps,
    LanesEqual,
    LanesBelow,
    LanesUpTo,
    LanesAbove,
    LanesFrom,
    WarpSize,
    /// Which multiprocessor runs the block: one only.
    Processor,
    Processors,
    DynamicShared,
}

impl Special {
    /// By its name in PTX.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.trim_start_matches('%');
        let axis = |axis: &str| match axis {
            "x" => Some(0),
            "y" => Some(1),
            "z" => Some(2),
            _ => None,
        };
        if let Some((base, rest)) = name.split_once('.') {
            let axis = axis(rest)?;
            return match base {
                "tid" => Some(Special::Thread(axis)),
                "ntid" => Some(Special::Threads(axis)),
                "ctaid" => Some(Special::Block(axis)),
                "nctaid" => Some(Special::Blocks(axis)),
                _ => None,
            };
        }
        Some(match name {
            "laneid" => Special::Lane,
            "warpid" => Special::Warp,
            "nwarpid" => Special::Warps,
            "lanemask_eq" => Special::LanesEqual,
            "lanemask_lt" => Special::LanesBelow,
            "lanemask_le" => Special::LanesUpTo,
            "lanemask_gt" => Special::LanesAbove,
            "lanemask_ge" => Special::LanesFrom,
            "WARP_SZ" => Special::WarpSize,
            "smid" => Special::Processor,
            "nsmid" => Special::Processors,
            "dynamic_smem_size" => Special::DynamicShared,
            _ => return None,
        })
    }
}
