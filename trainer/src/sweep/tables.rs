//! The table of a sweep for a terminal, for programs and for documents.

use super::summary::{Aggregate, CellSummary, Summary};

/// `1.2345 ± 0.0067`, or the mean alone.
fn shown(aggregate: Option<&Aggregate>) -> String {
    match aggregate {
        None => "-".to_owned(),
        Some(Aggregate { mean, spread: None, .. }) => format!("{mean:.4}"),
        Some(Aggregate { mean, spread: Some(spread), .. }) => format!("{mean:.4} ± {spread:.4}"),
    }
}

fn seconds(aggregate: Option<&Aggregate>) -> String {
    match aggregate {
        None => "-".to_owned(),
        Some(Aggregate { mean, .. }) => format!("{mean:.1}"),
    }
}

/// `2`, or what is the matter: `1 of 2, 1 failed`.
fn runs(cell: &CellSummary) -> String {
    let [finished, failed, waiting] = cell.counts();
    let mut text = finished.to_string();
    if failed + waiting > 0 {
        text = format!("{finished} of {}", finished + failed + waiting);
    }
    if failed > 0 {
        text = format!("{text}, {failed} failed");
    }
    text
}

fn head(summary: &Summary) -> Vec<String> {
    let fixed = ["cell", "runs", "iterations", "tokens", "FLOPs", "seconds"];
    let figures = summary.columns.iter().map(|column| column.key.clone());
    fixed.iter().map(|name| (*name).to_owned()).chain(figures).collect()
}

fn row(summary: &Summary, cell: &CellSummary) -> Vec<String> {
    let fixed = [
        cell.name.clone(),
        runs(cell),
        cell.iterations.to_string(),
        format!("{:.0}", cell.tokens),
        format!("{:.3e}", cell.flops),
        seconds(cell.seconds.as_ref()),
    ];
    let figures = summary.columns.iter().map(|column| shown(cell.figure(&column.key)));
    fixed.into_iter().chain(figures).collect()
}

/// What each column is, a line each.
pub(super) fn legend(summary: &Summary) -> Vec<String> {
    let mut lines: Vec<String> = summary
        .columns
        .iter()
        .map(|column| {
            let unit = if column.title.starts_with("perplexity") { "" } else { ", nats per token" };
            format!("{}: {}{unit}; z has seen {}", column.key, column.title, column.seen)
        })
        .collect();
    if !lines.is_empty() {
        let sequences = match summary.scoring.sequences {
            0 => "all validation sequences".to_owned(),
            n => format!("{n} validation sequences"),
        };
        lines.push(format!(
            "all but val_bound are over {sequences}, with {} draws of z; a cell without latents \
             has no z, and its kl is 0",
            summary.scoring.samples
        ));
        lines.push(
            "± is the standard deviation over seeds (one degree of freedom less than seeds)"
                .to_owned(),
        );
    }
    lines
}

/// Failures, a line each.
pub(super) fn failures(summary: &Summary) -> Vec<String> {
    let failed = summary.cells.iter().flat_map(|cell| {
        cell.runs.iter().filter_map(move |run| Some((cell, run.seed, run.error.as_ref()?)))
    });
    failed.map(|(cell, seed, error)| format!("{}, seed {seed}: {error}", cell.name)).collect()
}

/// For a terminal.
pub(super) fn lines(summary: &Summary) -> Vec<String> {
    let mut rows = vec![head(summary)];
    rows.extend(summary.cells.iter().map(|cell| row(summary, cell)));
    let mut lines = aligned(&rows);
    lines.extend(failures(summary).into_iter().map(|line| format!("failed: {line}")));
    lines.extend(legend(summary).into_iter().map(|line| format!("  {line}")));
    lines
}

/// Columns as wide as they need, the first to the left, the others to the right.
pub(super) fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells =
            row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// For documents.
pub(super) fn markdown(summary: &Summary) -> String {
    let line = |cells: Vec<String>| {
        let cells = cells.into_iter().map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let head = head(summary);
    let rule = format!("|---|{}\n", "---:|".repeat(head.len() - 1));
    let mut text = line(head) + &rule;
    for cell in &summary.cells {
        text += &line(row(summary, cell));
    }
    let mut notes = failures(summary);
    notes.iter_mut().for_each(|note| note.insert_str(0, "failed: "));
    notes.extend(legend(summary));
    for note in notes {
        text += &format!("\n- {note}");
    }
    text + "\n"
}

/// For programs: a row per cell, means and spreads in columns of their own.
pub(super) fn csv(summary: &Summary) -> String {
    let mut head = ["cell", "finished", "failed", "waiting", "parameters", "iterations", "tokens"]
        .map(str::to_owned)
        .to_vec();
    head.extend(["flops", "seconds_mean", "seconds_spread"].map(str::to_owned));
    for column in &summary.columns {
        head.extend([format!("{}_mean", column.key), format!("{}_spread", column.key)]);
    }
    let mut text = head.join(",") + "\n";
    for cell in &summary.cells {
        let mut row = vec![quoted(&cell.name)];
        row.extend(cell.counts().map(|count| count.to_string()));
        row.extend([cell.parameters.to_string(), cell.iterations.to_string()]);
        row.extend([cell.tokens.to_string(), cell.flops.to_string()]);
        let figures = summary.columns.iter().map(|column| cell.figure(&column.key));
        for aggregate in std::iter::once(cell.seconds.as_ref()).chain(figures) {
            let spread = aggregate.and_then(|aggregate| aggregate.spread);
            for number in [aggregate.map(|aggregate| aggregate.mean), spread] {
                row.push(number.map_or(String::new(), |number| number.to_string()));
            }
        }
        text += &(row.join(",") + "\n");
    }
    text
}

/// A field in quotes where it has to be.
fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}
