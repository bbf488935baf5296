//! What a sweep has found so far: figures of every run, and their means over seeds.

use std::path::PathBuf;

use serde::Serialize;

use super::{Cell, Ending, Figure, Result, Scoring, SweepOptions, curves, tables};
use crate::Error;
use crate::atomic_file;

/// One run of a cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunLine {
    /// Its seed.
    pub seed: u64,
    /// Its directory, below that of the sweep.
    pub directory: PathBuf,
    /// `finished`, `failed` or `waiting`.
    pub state: &'static str,
    /// Why it failed.
    pub error: Option<String>,
    /// Seconds of its iterations.
    pub seconds: Option<f64>,
    /// Its figures.
    pub figures: Vec<Figure>,
}

/// A figure over the finished runs of a cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Aggregate {
    /// The figure's key.
    pub key: String,
    /// Mean over seeds.
    pub mean: f64,
    /// Standard deviation over seeds, with one degree of freedom less than there are; absent for
    /// one seed.
    pub spread: Option<f64>,
    /// Seeds.
    pub runs: usize,
}

impl Aggregate {
    fn of(key: &str, values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / count)?;
        let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
        let spread = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Some(Self { key: key.to_owned(), mean, spread, runs: values.len() })
    }
}

/// A cell with its runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellSummary {
    /// Its name.
    pub name: String,
    /// Its own settings.
    pub settings: Vec<(String, String)>,
    /// Numbers that it trains.
    pub parameters: usize,
    /// Iterations of a run.
    pub iterations: u64,
    /// Training tokens of a run.
    pub tokens: f64,
    /// FLOPs of the training of a run, as `ltm plan` counts them.
    pub flops: f64,
    /// Its runs, a seed each.
    pub runs: Vec<RunLine>,
    /// Seconds of the iterations of its finished runs.
    pub seconds: Option<Aggregate>,
    /// Over its finished runs.
    pub figures: Vec<Aggregate>,
}

impl CellSummary {
    fn new(cell: &Cell, runs: Vec<RunLine>, columns: &[Figure]) -> Self {
        let finished = || runs.iter().filter(|run| run.state == "finished");
        let over = |column: &Figure| {
            let values = finished().flat_map(|run| &run.figures);
            let values: Vec<f64> =
                values.filter(|figure| figure.key == column.key).map(|f| f.value).collect();
            Aggregate::of(&column.key, &values)
        };
        let seconds: Vec<f64> = finished().filter_map(|run| run.seconds).collect();
        Self {
            name: cell.name.clone(),
            settings: cell.settings.clone(),
            parameters: cell.config.parameter_count(),
            iterations: cell.config.train.iterations,
            tokens: cell.tokens,
            flops: cell.flops(),
            seconds: Aggregate::of("seconds", &seconds),
            figures: columns.iter().filter_map(over).collect(),
            runs,
        }
    }

    /// An aggregate by its key.
    pub fn figure(&self, key: &str) -> Option<&Aggregate> {
        self.figures.iter().find(|figure| figure.key == key)
    }

    /// How many of its runs are finished, how many failed, and how many are still to come.
    pub fn counts(&self) -> [usize; 3] {
        ["finished", "failed", "waiting"]
            .map(|state| self.runs.iter().filter(|run| run.state == state).count())
    }
}

/// What a sweep has found so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Directory of shards.
    pub data: PathBuf,
    /// How runs are scored.
    pub scoring: Scoring,
    /// Whether every run is over.
    pub finished: bool,
    /// Every figure that some run has; the values are of no one run and left out.
    #[serde(serialize_with = "without_values")]
    pub columns: Vec<Figure>,
    /// The cells, in the order of the file.
    pub cells: Vec<CellSummary>,
}

fn without_values<S: serde::Serializer>(
    columns: &[Figure],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Column<'a> {
        key: &'a str,
        title: &'a str,
        seen: &'a str,
        ranks: bool,
    }
    let shown = columns.iter().map(|f| Column {
        key: &f.key,
        title: &f.title,
        seen: &f.seen,
        ranks: f.ranks,
    });
    serializer.collect_seq(shown)
}

impl Summary {
    /// Reads every result that there is.
    ///
    /// # Errors
    /// A damaged result.
    pub fn of(options: &SweepOptions) -> Result<Self> {
        let mut columns: Vec<Figure> = Vec::new();
        let mut runs_of_cells = Vec::new();
        for cell in &options.cells {
            let mut runs = Vec::new();
            for &seed in &options.seeds {
                let run = line(options, cell, seed)?;
                for figure in &run.figures {
                    if !columns.iter().any(|column| column.key == figure.key) {
                        columns.push(figure.clone());
                    }
                }
                runs.push(run);
            }
            runs_of_cells.push(runs);
        }
        let cells: Vec<CellSummary> = options
            .cells
            .iter()
            .zip(runs_of_cells)
            .map(|(cell, runs)| CellSummary::new(cell, runs, &columns))
            .collect();
        Ok(Self {
            data: options.data.clone(),
            scoring: options.scoring,
            finished: cells.iter().all(|cell| cell.counts()[2] == 0),
            columns,
            cells,
        })
    }

    /// Writes the files of a sweep, each whole or not at all.
    ///
    /// # Errors
    /// If one cannot be written, or the curves of a run cannot be read.
    pub fn write(&self, options: &SweepOptions) -> Result<()> {
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |source| Error::Write { path, source }
        };
        std::fs::create_dir_all(&options.out).map_err(failed(&options.out))?;
        let json = options.out.join("sweep.json");
        let text = serde_json::to_string_pretty(self).map_err(|e| failed(&json)(e.into()))?;
        let csv = (options.out.join("sweep.csv"), tables::csv(self));
        let markdown = (options.out.join("sweep.md"), tables::markdown(self));
        for (path, text) in [(json, text + "\n"), csv, markdown] {
            atomic_file::write(&path, text.as_bytes()).map_err(failed(&path))?;
        }
        curves::write_page(self, options)
    }

    /// The table for a terminal, as lines, none of them ended.
    pub fn lines(&self) -> Vec<String> {
        tables::lines(self)
    }
}

fn line(options: &SweepOptions, cell: &Cell, seed: u64) -> Result<RunLine> {
    let directory = options.run_directory(cell, seed);
    let directory = directory.strip_prefix(&options.out).unwrap_or(&directory).to_owned();
    let waiting = RunLine {
        seed,
        directory,
        state: "waiting",
        error: None,
        seconds: None,
        figures: Vec::new(),
    };
    let Some(result) = options.result(cell, seed)? else { return Ok(waiting) };
    let seconds = Some(result.seconds);
    Ok(match result.ending {
        Ending::Finished { figures } => RunLine { state: "finished", seconds, figures, ..waiting },
        Ending::Failed { error } => {
            RunLine { state: "failed", seconds, error: Some(error), ..waiting }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_spreads_are_those_of_the_definitions() {
        let of = |values: &[f64]| Aggregate::of("x", values);
        assert_eq!(of(&[]), None);
        let one = of(&[3.0]).unwrap();
        assert_eq!((one.mean, one.spread, one.runs), (3.0, None, 1));
        let three = of(&[1.0, 2.0, 6.0]).unwrap();
        assert_eq!((three.mean, three.runs), (3.0, 3));
        assert!((three.spread.unwrap() - 7.0_f64.sqrt()).abs() < 1e-15);
    }
}
