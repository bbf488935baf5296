//! What was left out, and why.

use std::collections::BTreeMap;
use std::fmt;

/// Why a document was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// The file or member cannot be read from some point on.
    Unreadable,
    /// Not UTF-8. A large text file is cut short at the bad place.
    InvalidUtf8,
    /// Not one JSON object on the line.
    BrokenJson,
    /// The object has no such field.
    MissingField,
    /// The field or row holds no string.
    NotText,
    /// A line, or a stretch without white space, beyond the bound on memory.
    TooLong,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SkipReason::Unreadable => "unreadable",
            SkipReason::InvalidUtf8 => "not UTF-8",
            SkipReason::BrokenJson => "broken JSON",
            SkipReason::MissingField => "missing field",
            SkipReason::NotText => "not a string",
            SkipReason::TooLong => "too long",
        })
    }
}

/// Counts of what was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    counts: BTreeMap<SkipReason, u64>,
}

impl Skipped {
    /// Documents left out for this reason.
    pub fn count(&self, reason: SkipReason) -> u64 {
        self.counts.get(&reason).copied().unwrap_or(0)
    }

    /// Documents left out in all.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The reasons that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (SkipReason, u64)> + '_ {
        self.counts.iter().map(|(&reason, &count)| (reason, count))
    }

    pub(crate) fn add(&mut self, reason: SkipReason) {
        *self.counts.entry(reason).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Skipped) {
        for (reason, count) in other.iter() {
            *self.counts.entry(reason).or_default() += count;
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counts.is_empty() {
            return f.write_str("none");
        }
        for (index, (reason, count)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {reason}")?;
        }
        Ok(())
    }
}
