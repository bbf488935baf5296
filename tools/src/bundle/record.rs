//! The lines of `results.jsonl`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Environment;

/// What was packed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Commit of the sources; "unknown" outside a repository.
    pub commit: String,
    /// Whether tracked files differed from it.
    pub uncommitted_changes: bool,
    /// When, UTC.
    pub date: String,
    /// What `ltm --version` says.
    pub ltm: String,
    /// What `rustc --version` says.
    pub rustc: String,
    /// Bytes of the folder but for this file.
    pub bytes: u64,
}

/// A line of `results.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// The machine and the bundle; the first line of every run.
    Environment(Box<Environment>),
    /// How a step ended.
    Step(StepRecord),
    /// A line of JSON that a step wrote to its standard output.
    Measurement {
        /// The step.
        step: String,
        /// The object.
        values: Value,
    },
    /// All steps were visited; the last line of every run that was not cut short.
    End {
        /// Wall time of everything.
        seconds: f64,
    },
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its name.
    pub step: String,
    /// Its group.
    pub group: String,
    /// How it ended.
    pub status: Status,
    /// Wall time.
    pub seconds: f64,
    /// Exit code, where there is one.
    pub exit: Option<i32>,
    /// Why it did not pass, in a line; empty if it did.
    pub detail: String,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It ran and succeeded.
    Passed,
    /// It ran and did not succeed.
    Failed,
    /// It was stopped at its time limit.
    TimedOut,
    /// It was not run: there is no GPU.
    NoGpu,
    /// It was not run: a tool that it needs is not on this machine.
    NoTool,
    /// It was not run: this build does not have what it checks.
    NotInBuild,
    /// It was not run: the time for everything was over.
    NoTime,
}

impl Status {
    /// Whether the step ran and something is wrong.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED OUT",
            Self::NoGpu => "no GPU",
            Self::NoTool => "no tool",
            Self::NotInBuild => "not in this build",
            Self::NoTime => "no time left",
        })
    }
}
