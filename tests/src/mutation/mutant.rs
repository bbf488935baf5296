//! A deliberate error in a kernel.

use std::fmt;
use std::ops::Range;

/// What is wrong with a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A barrier of the block is gone.
    Barrier,
    /// A barrier of a warp is gone.
    WarpBarrier,
    /// A wait for asynchronous copies lets one group more stay under way, or is gone where it
    /// waits for all.
    Wait,
    /// The address of an access is moved up by what the access moves.
    Address,
    /// A comparison of integers that decides over a branch or a guarded instruction takes the
    /// equal case to its other side.
    Compare,
    /// A guard is inverted.
    Guard,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 6] =
        [Kind::Barrier, Kind::WarpBarrier, Kind::Wait, Kind::Address, Kind::Compare, Kind::Guard];

    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Barrier => "barrier",
            Kind::WarpBarrier => "warp-barrier",
            Kind::Wait => "wait",
            Kind::Address => "address",
            Kind::Compare => "compare",
            Kind::Guard => "guard",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One deliberate error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// What is wrong.
    pub kind: Kind,
    /// Counts the mutants of a kind in a kernel, from 1.
    pub number: usize,
    /// Line of the PTX text, from 1.
    pub line: u32,
    /// Line of the CUDA source, where the PTX names one: file and line.
    pub source: Option<(String, u32)>,
    /// The instruction as it was.
    pub before: String,
    /// The instruction as it is; empty where it is gone.
    pub after: String,
    /// Where the instruction stands in the text.
    pub(super) span: Range<usize>,
}

impl Mutant {
    /// The text with this error in it. Lines keep their numbers.
    pub fn text(&self, original: &str) -> String {
        let lines = self.before.matches('\n').count() - self.after.matches('\n').count();
        let (head, tail) = (&original[..self.span.start], &original[self.span.end..]);
        [head, &self.after, &"\n".repeat(lines), tail].concat()
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, number, line, before, after, .. } = self;
        let [before, after] = [before, after].map(|text| one_line(text));
        write!(f, "{kind} {number}, PTX line {line}")?;
        if let Some((file, line)) = &self.source {
            write!(f, " [{file}:{line}]")?;
        }
        match after.as_str() {
            "" => write!(f, ": without `{before}`"),
            after => write!(f, ": `{after}` for `{before}`"),
        }
    }
}

/// A text with every stretch of blanks as one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
