//! How long calls take.

use ltm_engine::{Clock, Device, DeviceExt};
use serde::Serialize;

use crate::Result;

/// A call of an operation on one set of arguments.
pub(super) type Call = Box<dyn Fn(&mut dyn Device) -> ltm_engine::Result<()>>;

/// Calls of one recording at most.
const CALLS: usize = 512;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Samples of an operation, each a number of calls in a row.
    pub samples: usize,
    /// Seconds that a sample is to take at least.
    pub seconds: f64,
    /// Bytes that the sets of arguments of an operation are to have together.
    pub rotated_bytes: u64,
    /// Bytes that the copy moves whose speed is the ceiling of memory.
    pub copied_bytes: usize,
    /// Edge of the square product whose speed is the ceiling of arithmetic.
    pub product_edge: usize,
}

impl Sampling {
    /// For operations on `rows` rows of `width` numbers. On a GPU: samples that hide the resolution
    /// of its clock, arguments that are twice the largest cache of today's GPUs (126 MB), and
    /// ceilings of up to 1 GiB and an edge of 8192. On others enough to see that it works.
    pub fn of(clock: Clock, rows: usize, width: usize) -> Self {
        let edge = rows.next_power_of_two();
        match clock {
            Clock::Device => Self {
                samples: 20,
                seconds: 1e-3,
                rotated_bytes: 256 << 20,
                copied_bytes: (64 * rows * width).clamp(1 << 20, 1 << 30),
                product_edge: edge.clamp(64, 8192),
            },
            Clock::Host => Self {
                samples: 3,
                seconds: 0.0,
                rotated_bytes: 0,
                copied_bytes: 1 << 20,
                product_edge: 64,
            },
        }
    }
}

/// Seconds of a call: quantiles over samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// One sample in ten is below.
    #[serde(rename = "seconds_p10")]
    pub p10: f64,
    /// Half of them are.
    #[serde(rename = "seconds")]
    pub median: f64,
    /// Nine in ten are.
    #[serde(rename = "seconds_p90")]
    pub p90: f64,
}

impl Times {
    /// Of samples, at least one.
    pub(super) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let last = samples.len().saturating_sub(1) as f64;
        let at = |share: f64| samples.get((share * last).round() as usize).copied();
        let [p10, median, p90] = [0.1, 0.5, 0.9].map(|share| at(share).unwrap_or(f64::NAN));
        Self { p10, median, p90 }
    }
}

/// Times a call among `calls`, which take turns. Waits for the device, which says then what went
/// wrong in them.
pub(super) fn time(device: &mut dyn Device, calls: &[Call], sampling: Sampling) -> Result<Times> {
    let all = |device: &mut dyn Device| calls.iter().try_for_each(|call| call(device));
    // The first calls load kernels and take scratch memory.
    all(device)?;
    let (before, ()) = (device.mark()?, all(device)?);
    let after = device.mark()?;
    let once = device.seconds_between(&before, &after)?.max(1e-9);
    let wanted = (sampling.seconds / once).ceil() as usize;
    let rounds = wanted.clamp(1, (CALLS / calls.len()).max(1));
    let many =
        |device: &mut dyn Device| -> Result<()> { (0..rounds).try_for_each(|_| Ok(all(device)?)) };
    let graph = device.record(|device| many(device))?;
    let run = |device: &mut dyn Device| match &graph {
        Some(graph) => Ok(device.replay(graph)?),
        None => many(device),
    };
    run(device)?;
    let mut samples = Vec::with_capacity(sampling.samples);
    for _ in 0..sampling.samples.max(1) {
        let before = device.mark()?;
        run(device)?;
        let after = device.mark()?;
        let seconds = device.seconds_between(&before, &after)?;
        samples.push(seconds / (rounds * calls.len()) as f64);
    }
    device.synchronize()?;
    Ok(Times::of(samples))
}
