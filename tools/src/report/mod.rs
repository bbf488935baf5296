//! One page about one or several training runs: numbers, curves, samples, configuration.
//!
//! [`write_report`] reads run directories as the trainer leaves them, also while it is still
//! writing or after it was killed, and writes a single HTML file that needs nothing else: no
//! script, no font, no picture from anywhere.
//!
//! Charts are SVG written here rather than by a plotting library, because their colours and text
//! belong to the style sheet of the page: it follows the reader's light or dark setting, and
//! prints.

mod axis;
mod chart;
#[cfg(test)]
mod chart_tests;
mod charts;
mod config;
mod curves;
mod dots;
mod error;
mod escape;
mod fast;
mod fast_charts;
mod jsonl;
mod look;
mod metrics;
mod number;
mod page;
mod probe;
mod publish;
mod run;
mod samples;
mod samples_table;
mod series;
mod summary;
mod sweep;
mod tables;
#[cfg(test)]
mod tests;
mod ticks;
mod timing;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use probe::{ProbePage, ProbePoint, write_probe};
pub use summary::{ReportSummary, RunSummary, Validation};
pub use sweep::{
    SweepCurve, SweepPage, SweepPoint, SweepRow, write_sweep_picture, write_sweep_report,
};

use run::Run;

/// Writes a report on `runs` to the file `out`, replacing what is there only when the new page is
/// complete.
///
/// A run directory needs `metrics.jsonl`; `timing.jsonl`, `samples.jsonl`, `config.toml` and
/// `summary.json` add to the page where they exist. Several runs share their charts and are
/// compared in a table.
///
/// # Errors
///
/// When there are no runs, when a file of a run cannot be read or holds a line that makes no sense
/// (a last line cut short by a killed process is left out and noted instead), or when the page
/// cannot be written.
pub fn write_report(runs: &[PathBuf], out: &Path) -> Result<ReportSummary, Error> {
    if runs.is_empty() {
        return Err(Error::NoRuns);
    }
    let names = run::names(runs).into_iter();
    let read = runs.iter().zip(names);
    let runs: Vec<Run> = read.map(|(dir, name)| Run::read(dir, name)).collect::<Result<_, _>>()?;
    let notes: Vec<String> = runs.iter().flat_map(Run::named_notes).collect();
    let page = page::page(&runs, &notes);
    publish::publish(out, page.as_bytes())?;
    Ok(ReportSummary {
        path: out.to_owned(),
        bytes: page.len() as u64,
        runs: runs.into_iter().map(|run| run.summary).collect(),
        notes,
    })
}
