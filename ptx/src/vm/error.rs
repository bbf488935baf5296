//! Errors of the virtual GPU, and a finding in words.

use std::fmt;

use super::access::WARP;
use super::fault::{Fault, FaultKind};

/// Why a call of the virtual GPU failed.
#[derive(Clone, Debug, PartialEq)]
pub enum VmError {
    /// The text is not PTX, or a PTX of a version or target that is not understood.
    Parse {
        /// Line of the text, from 1.
        line: u32,
        /// What was found and what was expected.
        message: String,
    },
    /// An instruction or declaration that the virtual GPU does not run.
    Decode {
        /// The entry point.
        kernel: String,
        /// Line of the PTX text, from 1.
        line: u32,
        /// The line as written.
        text: String,
        /// What is not understood.
        message: String,
    },
    /// The program has no entry point of this name.
    UnknownEntry {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// Arguments that do not fit the parameters.
    Arguments {
        /// The entry point.
        kernel: String,
        /// Count, or which parameter and how it differs.
        message: String,
    },
    /// A launch shape that no device takes.
    Launch {
        /// The entry point.
        kernel: String,
        /// Which limit is passed.
        message: String,
    },
    /// A check found something.
    Fault(Box<FaultReport>),
    /// No memory for an allocation.
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// An address or extent, from the host, that is not inside an allocation.
    Host(String),
}

impl fmt::Display for VmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VmError::Parse { line, message } => write!(f, "PTX line {line}: {message}"),
            VmError::Decode { kernel, line, text, message } => {
                write!(f, "{kernel}, PTX line {line}: {message}: {text}")
            }
            VmError::UnknownEntry { name, known } => {
                write!(f, "no entry point {name:?} in the program; it has {}", known.join(", "))
            }
            VmError::Arguments { kernel, message } => write!(f, "arguments of {kernel}: {message}"),
            VmError::Launch { kernel, message } => write!(f, "launch of {kernel}: {message}"),
            VmError::Fault(report) => report.fmt(f),
            VmError::OutOfMemory { bytes } => write!(f, "no device memory for {bytes} bytes"),
            VmError::Host(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for VmError {}

/// Where in a kernel something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Block in the grid: x, y, z.
    pub block: [u32; 3],
    /// Thread in the block: x, y, z.
    pub thread: [u32; 3],
    /// Line of the PTX text, from 1.
    pub line: u32,
    /// That line, trimmed.
    pub text: String,
    /// File and line of the CUDA source, where the PTX names one.
    pub source: Option<(String, u32)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [bx, by, bz] = self.block;
        let [tx, ty, tz] = self.thread;
        write!(f, "block ({bx}, {by}, {bz}) thread ({tx}, {ty}, {tz})")?;
        write!(f, ", PTX line {}: {}", self.line, self.text)?;
        match &self.source {
            Some((file, line)) => write!(f, " [{file}:{line}]"),
            None => Ok(()),
        }
    }
}

/// A finding with everything that names its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultReport {
    /// The entry point.
    pub kernel: String,
    /// What.
    pub kind: FaultKind,
    /// Where.
    pub place: Place,
    /// Addresses, values, extents.
    pub detail: String,
    /// The other access of a race: where, and whether it wrote.
    pub other: Option<(Place, bool)>,
    /// The finding as the checks gave it.
    pub fault: Fault,
}

impl fmt::Display for FaultReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}: {}\n  at {}", self.kind, self.kernel, self.detail, self.place)?;
        match &self.other {
            Some((place, true)) => write!(f, "\n  after a write at {place}"),
            Some((place, false)) => write!(f, "\n  after a read at {place}"),
            None => Ok(()),
        }
    }
}

/// Block coordinates of a linear index.
pub(crate) fn block_of(linear: u64, grid: [u32; 3]) -> [u32; 3] {
    let [x, y] = [grid[0].max(1) as u64, grid[1].max(1) as u64];
    [(linear % x) as u32, (linear / x % y) as u32, (linear / (x * y)) as u32]
}

/// Thread coordinates of a lane.
pub(crate) fn thread_of(warp: u32, lane: u32, block: [u32; 3]) -> [u32; 3] {
    let linear = warp * WARP as u32 + lane;
    let [x, y] = [block[0].max(1), block[1].max(1)];
    [linear % x, linear / x % y, linear / (x * y)]
}
