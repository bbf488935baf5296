//! What a run tells while it goes on.

use std::path::Path;

use crate::metrics::{Metrics, Sample, Timing};

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// Data and device are at hand.
    Started {
        /// Name of the device.
        device: String,
        /// Training windows in an epoch.
        windows: u64,
    },
    /// Posteriors are kept for warm starts.
    WarmStarts {
        /// In this file.
        path: &'a Path,
        /// Which grows to this many bytes as windows are visited.
        bytes: u64,
    },
    /// The run goes on from a checkpoint.
    Resumed {
        /// The next iteration.
        iteration: u64,
        /// Where it was read from.
        checkpoint: &'a Path,
    },
    /// There is nothing to validate on.
    NoValidation {
        /// Why.
        reason: String,
    },
    /// Matrix products were measured with another version of cuBLASLt when the run began, so that
    /// its course may differ in the rounding.
    OtherLibrary {
        /// The version then.
        before: &'a str,
        /// The version now; absent where there is none, and our kernels compute everything.
        now: Option<&'a str>,
    },
    /// An iteration was completed.
    Iteration {
        /// Its figures.
        metrics: &'a Metrics,
        /// What it took.
        timing: &'a Timing,
        /// Iterations of the whole run.
        total: u64,
    },
    /// A text was generated.
    Sample {
        /// The text.
        sample: &'a Sample,
    },
    /// A checkpoint is on disk.
    Saved {
        /// Where.
        checkpoint: &'a Path,
    },
}

/// Somebody who watches a run.
pub trait Observer {
    /// Called in the order of events, between iterations.
    fn event(&mut self, event: Event<'_>);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: Event<'_>) {}
}
