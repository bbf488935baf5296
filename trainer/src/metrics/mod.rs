//! What a run reports while it trains, one JSON object per line.
//!
//! `metrics.jsonl` holds nothing that depends on the machine or the hour, so that two runs of the
//! same configuration can be compared byte by byte; times are in `timing.jsonl`. Numbers are
//! printed with the fewest digits that read back as the same f64; a NaN or an infinity is `null`.

mod error;
mod lines;
mod record;

pub use error::MetricsError;
pub use lines::{JsonLines, read};
pub use record::{Metrics, PointFigures, PointValidation, Record, Sample, Timing, Validation};

#[cfg(test)]
mod tests;
