//! One run directory, read whole.

use std::path::{Path, PathBuf};

use super::config::{self, Config};
use super::jsonl::Tail;
use super::metrics::{Metrics, Quantity};
use super::samples::Samples;
use super::series::usable;
use super::summary::RunSummary;
use super::timing::Timing;
use super::{Error, number};

/// Everything a report says about one run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) config: Config,
    pub(super) metrics: Metrics,
    pub(super) timing: Timing,
    pub(super) samples: Samples,
    pub(super) facts: Vec<(String, String)>,
    pub(super) summary: RunSummary,
    /// What a reader should know about the files.
    pub(super) notes: Vec<String>,
}

impl Run {
    /// Reads the run in `dir` and calls it `name`.
    pub(super) fn read(dir: &Path, name: String) -> Result<Self, Error> {
        let (metrics, metrics_tail) = Metrics::read(&dir.join("metrics.jsonl"))?;
        if metrics_tail == Tail::Missing {
            return Err(Error::NotARun { path: dir.to_owned() });
        }
        let (timing, timing_tail) = Timing::read(&dir.join("timing.jsonl"))?;
        let (samples, samples_tail) = Samples::read(&dir.join("samples.jsonl"))?;
        let config = Config::read(&dir.join("config.toml"))?;
        let mut notes = Vec::new();
        for (file, tail) in [
            ("metrics.jsonl", metrics_tail),
            ("timing.jsonl", timing_tail),
            ("samples.jsonl", samples_tail),
        ] {
            if let Tail::Torn(line) = tail {
                notes.push(format!(
                    "{file}: line {line}, the last one, was cut short while being written and is left out."
                ));
            }
        }
        if timing_tail == Tail::Missing {
            notes.push("timing.jsonl is missing: nothing is said about speed and memory.".into());
        }
        if config.text.is_none() {
            notes.push("config.toml is missing.".into());
        }
        notes.extend(metric_notes(&metrics));
        Ok(Self {
            facts: config::read_summary(&dir.join("summary.json"))?,
            summary: RunSummary::new(name, &metrics, &timing),
            config,
            metrics,
            timing,
            samples,
            notes,
        })
    }

    /// The notes, each with the name of the run.
    pub(super) fn named_notes(&self) -> impl Iterator<Item = String> + '_ {
        let name = &self.summary.name;
        self.notes.iter().map(move |note| format!("{name}: {note}"))
    }
}

fn metric_notes(metrics: &Metrics) -> Vec<String> {
    let mut notes = Vec::new();
    if metrics.iterations.is_empty() {
        notes.push("metrics.jsonl holds no iteration yet.".into());
    }
    if metrics.superseded > 0 {
        notes.push(format!(
            "The run was restarted from a checkpoint: {} of the lines in metrics.jsonl were repeated later and are left out.",
            number::count(metrics.superseded as u64)
        ));
    }
    notes.extend(gap_notes(metrics));
    notes
}

/// Says where values are not finite, in one note for the quantities that went wrong together.
fn gap_notes(metrics: &Metrics) -> Vec<String> {
    /// How many values of how many, and the first iteration.
    type Gap = (usize, usize, u64);
    let mut found: Vec<(Gap, Vec<&str>)> = Vec::new();
    for quantity in Quantity::ALL {
        let series = metrics.series(quantity);
        let Some((first, _)) = series.points().find(|&(_, y)| !usable(y)) else {
            continue;
        };
        let gap = (series.gaps(), series.len(), first as u64);
        match found.iter_mut().find(|(known, _)| *known == gap) {
            Some((_, names)) => names.push(quantity.name()),
            None => found.push((gap, vec![quantity.name()])),
        }
    }
    let notes = found.into_iter().map(|((gaps, all, first), names)| {
        format!(
            "{}: {} of {} values are not finite, the first at iteration {}; curves have gaps there.",
            names.join(", "),
            number::count(gaps as u64),
            number::count(all as u64),
            number::count(first),
        )
    });
    notes.collect()
}

/// A name for each run: its folder, and as many folders above it as tell the runs apart.
pub(super) fn names(dirs: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = dirs
        .iter()
        .map(|dir| {
            // `.` and `..` have no name of their own.
            let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
            let dir = dir.canonicalize().unwrap_or(dir);
            let parts = dir.components().filter_map(|part| match part {
                std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
                _ => None,
            });
            parts.collect()
        })
        .collect();
    let deepest = parts.iter().map(Vec::len).max().unwrap_or(0);
    let ending = |depth: usize| -> Vec<String> {
        let end = |parts: &Vec<String>| parts[parts.len().saturating_sub(depth)..].join("/");
        parts.iter().map(end).collect()
    };
    let distinct = |names: &Vec<String>| {
        let mut sorted = names.clone();
        sorted.sort();
        sorted.dedup();
        sorted.len() == names.len()
    };
    // The same directory given twice stays ambiguous at any depth, so the folder has to do.
    (1..=deepest).map(ending).find(distinct).unwrap_or_else(|| ending(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_short_as_they_can_be() {
        let of = |dirs: &[&str]| names(&dirs.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["runs/a", "runs/b/"]), ["a", "b"]);
        assert_eq!(of(&["x/run", "y/run", "z/other"]), ["x/run", "y/run", "z/other"]);
        assert_eq!(of(&["x/run", "x/run"]), ["run", "run"]);
        let here = std::env::current_dir().unwrap();
        assert_eq!(of(&["."]), [here.file_name().unwrap().to_str().unwrap()]);
    }
}
