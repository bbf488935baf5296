//! The page of a sweep: curves of all runs, read from their directories.

use ltm_tools::report::{
    SweepCurve, SweepPage, SweepPoint, SweepRow, write_sweep_picture, write_sweep_report,
};

use super::summary::{Aggregate, CellSummary, Summary};
use super::{Cell, Result, SweepOptions, tables};
use crate::metrics::{self, Metrics, Timing};
use crate::run_dir::RunPaths;

/// Writes `sweep.html`, and `sweep.svg` once there is a figure.
pub(super) fn write_page(summary: &Summary, options: &SweepOptions) -> Result<()> {
    let mut curves = Vec::new();
    for cell in &options.cells {
        let mut runs = Vec::new();
        for &seed in &options.seeds {
            // A run without a result is another one, or not over.
            if options.result(cell, seed)?.is_some() {
                runs.push(points(options, cell, seed)?);
            }
        }
        curves.push(SweepCurve { name: cell.name.clone(), runs });
    }
    let counts = summary.cells.iter().map(CellSummary::counts);
    let [finished, failed, waiting] =
        counts.fold([0; 3], |sum, counts| std::array::from_fn(|i| sum[i] + counts[i]));
    let mut notes = tables::failures(summary);
    if waiting > 0 {
        notes.insert(0, format!("{waiting} runs are still to come."));
    }
    let name = |path: &std::path::Path| {
        path.file_name().map_or_else(|| "sweep".to_owned(), |n| n.to_string_lossy().into_owned())
    };
    let page = SweepPage {
        title: name(&options.out),
        lead: format!(
            "{} cells, {} seeds: {finished} runs finished, {failed} failed.",
            options.cells.len(),
            options.seeds.len()
        ),
        notes,
        columns: summary.columns.iter().map(|column| (column.key.clone(), column.ranks)).collect(),
        legend: tables::legend(summary),
        rows: summary.cells.iter().map(|cell| row(summary, cell)).collect(),
        curves,
    };
    write_sweep_report(&page, &options.out.join("sweep.html"))?;
    write_sweep_picture(&page, &options.out.join("sweep.svg"))?;
    Ok(())
}

fn row(summary: &Summary, cell: &CellSummary) -> SweepRow {
    let pair = |aggregate: &Aggregate| (aggregate.mean, aggregate.spread);
    SweepRow {
        name: cell.name.clone(),
        settings: cell.settings.iter().map(|(key, value)| format!("{key} = {value}")).collect(),
        runs: cell.counts()[0],
        tokens: cell.tokens,
        flops: cell.flops,
        seconds: cell.seconds.as_ref().map(|seconds| seconds.mean),
        figures: summary.columns.iter().map(|c| cell.figure(&c.key).map(pair)).collect(),
    }
}

/// The validations of a run, and what training had cost by then.
fn points(options: &SweepOptions, cell: &Cell, seed: u64) -> Result<Vec<SweepPoint>> {
    let paths = RunPaths::new(options.run_directory(cell, seed));
    // A run that was refused before its first iteration has neither.
    if !paths.metrics().exists() || !paths.timing().exists() {
        return Ok(Vec::new());
    }
    let metrics: Vec<Metrics> = metrics::read(&paths.metrics())?;
    let timing: Vec<Timing> = metrics::read(&paths.timing())?;
    let mut seconds = 0.0;
    let mut points = Vec::new();
    for (line, time) in metrics.iter().zip(timing) {
        seconds += time.seconds;
        if let Some(validation) = &line.validation {
            points.push(SweepPoint {
                tokens: line.tokens as f64,
                flops: (line.iteration + 1) as f64 * cell.iteration_flops,
                seconds,
                bound: validation.val_bound,
            });
        }
    }
    Ok(points)
}
