//! `timing.jsonl`: how long each iteration took. Kept apart from the metrics, which repeat bit for
//! bit from run to run.

use std::path::Path;

use serde::Deserialize;

use super::Error;
use super::jsonl::{self, Tail};
use super::metrics::number;
use super::series::Series;

#[derive(Deserialize)]
struct Line {
    iteration: u64,
    #[serde(default, deserialize_with = "number")]
    seconds: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    tokens_per_second: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    rss_bytes: Option<f64>,
}

/// Everything read from one `timing.jsonl`, over iterations.
#[derive(Debug, Default)]
pub(super) struct Timing {
    pub(super) seconds: Series,
    pub(super) tokens_per_second: Series,
    pub(super) rss_bytes: Series,
}

impl Timing {
    /// Reads the file; one that is missing gives no times.
    pub(super) fn read(path: &Path) -> Result<(Self, Tail), Error> {
        let mut timing = Self::default();
        let tail = jsonl::read(path, |line| timing.push(&line))?;
        Ok((timing, tail))
    }

    fn push(&mut self, line: &Line) {
        let x = line.iteration as f64;
        for (series, value) in [
            (&mut self.seconds, line.seconds),
            (&mut self.tokens_per_second, line.tokens_per_second),
            (&mut self.rss_bytes, line.rss_bytes),
        ] {
            series.forget_from(x);
            if let Some(value) = value {
                series.push(x, value);
            }
        }
    }
}
