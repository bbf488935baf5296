//! One page about a sweep: its table, and the bound of every cell against what it cost.

use std::fmt::Write as _;
use std::path::Path;

use super::axis::Scale;
use super::chart::{AxisTitle, Chart, Curve};
use super::curves::WIDE;
use super::dots::DotPlot;
use super::escape::escape;
use super::look::{self, Look, Mark};
use super::number::{count, duration, nats, value};
use super::page::{STYLE, write_charts};
use super::publish::publish;
use super::series::Series;
use super::{Error, ReportSummary};

/// Share of the tokens of a sweep whose validations are left out: the fall from the first weights
/// would flatten all that comes after it.
const LEFT_OUT: f64 = 0.05;

/// A validation of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepPoint {
    /// Tokens trained on.
    pub tokens: f64,
    /// FLOPs of that.
    pub flops: f64,
    /// Seconds of that.
    pub seconds: f64,
    /// nll + kl, nats per token.
    pub bound: f64,
}

/// The validations of the runs of a cell, a list for each seed.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepCurve {
    /// The cell.
    pub name: String,
    /// In the order of training.
    pub runs: Vec<Vec<SweepPoint>>,
}

/// A cell in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRow {
    /// The cell.
    pub name: String,
    /// Its own settings, as people read them.
    pub settings: Vec<String>,
    /// Finished runs.
    pub runs: usize,
    /// Training tokens of a run.
    pub tokens: f64,
    /// FLOPs of that.
    pub flops: f64,
    /// Mean seconds of that.
    pub seconds: Option<f64>,
    /// Mean and spread of each column.
    pub figures: Vec<Option<(f64, Option<f64>)>>,
}

/// What the page says.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPage {
    /// Its name.
    pub title: String,
    /// A sentence.
    pub lead: String,
    /// What the reader has to know.
    pub notes: Vec<String>,
    /// Names of the figures, and whether the smallest of a column is the best.
    pub columns: Vec<(String, bool)>,
    /// What they are, a line each.
    pub legend: Vec<String>,
    /// Cells.
    pub rows: Vec<SweepRow>,
    /// The same cells.
    pub curves: Vec<SweepCurve>,
}

/// Writes the page to the file `out`, replacing what is there only when it is complete.
///
/// # Errors
/// When the page cannot be written.
pub fn write_sweep_report(page: &SweepPage, out: &Path) -> Result<ReportSummary, Error> {
    let text = html(page);
    publish(out, text.as_bytes())?;
    Ok(ReportSummary {
        path: out.to_owned(),
        bytes: text.len() as u64,
        runs: Vec::new(),
        notes: page.notes.clone(),
    })
}

/// Writes the figures by which cells rank as a picture by itself (SVG, a dot for each figure of each
/// cell) to the file `out`, replacing what is there only when it is complete. Nothing is written, and
/// `false` returned, while there is nothing to draw.
///
/// # Errors
/// When the picture cannot be written.
pub fn write_sweep_picture(page: &SweepPage, out: &Path) -> Result<bool, Error> {
    let plot = dot_plot(page);
    if plot.is_empty() {
        return Ok(false);
    }
    publish(out, plot.picture().as_bytes())?;
    Ok(true)
}

fn dot_plot(page: &SweepPage) -> DotPlot {
    let ranking = || page.columns.iter().enumerate().filter(|(_, (_, ranks))| *ranks);
    let figures = |row: &SweepRow| {
        let of = |(column, _)| row.figures.get(column).copied().flatten();
        (row.name.clone(), ranking().map(of).collect())
    };
    DotPlot {
        title: "Figures by which cells rank".to_owned(),
        axis: "nats per token, the smaller the better; lines: the spread over seeds".to_owned(),
        figures: ranking().map(|(_, (name, _))| name.clone()).collect(),
        rows: page.rows.iter().map(figures).collect(),
    }
}

fn html(page: &SweepPage) -> String {
    let title = escape(&page.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · sweep</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<p>Latent Thought Model · sweep</p>\n<h1>{title}</h1>\n</header>\n<main>\n\
         <p class=\"lead\">{}</p>\n",
        escape(&page.lead)
    );
    if !page.notes.is_empty() {
        out.push_str("<aside class=\"notes\"><h2>Notes</h2>\n");
        write_list(&mut out, &page.notes);
        out.push_str("</aside>\n");
    }
    write_table(&mut out, page);
    write_list(&mut out, &page.legend);
    let plot = dot_plot(page);
    if !plot.is_empty() {
        let _ = write!(out, "<section><h2>Cells side by side</h2>\n{}</section>\n", plot.figure());
    }
    let lead = "The bound of each validation against what training had cost by then, validations \
                not counted. Points: means over seeds. Faint: each seed. Validations in the first \
                5 % of a run are left out.";
    write_charts(&mut out, "Validation bound", lead, "two", &charts(&page.curves));
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn write_list(out: &mut String, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    out.push_str("<ul>\n");
    for line in lines {
        let _ = writeln!(out, "<li>{}</li>", escape(line));
    }
    out.push_str("</ul>\n");
}

fn write_table(out: &mut String, page: &SweepPage) {
    out.push_str("<div class=\"scroll\"><table class=\"numbers\">\n<thead><tr><th>Cell</th>");
    for name in ["runs", "tokens", "FLOPs", "time"] {
        let _ = write!(out, "<th>{name}</th>");
    }
    for (name, _) in &page.columns {
        let _ = write!(out, "<th>{}</th>", escape(name));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (index, row) in page.rows.iter().enumerate() {
        let _ = write!(
            out,
            "<tr><th><i class=\"chip c{}\"></i>{}<small>{}</small></th><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
            index % look::COLORS,
            escape(&row.name),
            escape(&row.settings.join(", ")),
            row.runs,
            count(row.tokens as u64),
            value(row.flops),
            row.seconds.map_or_else(|| "–".to_owned(), duration),
        );
        for (column, figure) in row.figures.iter().enumerate() {
            let Some((mean, spread)) = figure else {
                out.push_str("<td>–</td>");
                continue;
            };
            let ranks = page.columns.get(column).is_some_and(|(_, ranks)| *ranks);
            let best = ranks && is_best(&page.rows, column, *mean);
            let (open, close) = if best { ("<b>", "</b>") } else { ("", "") };
            let _ = write!(out, "<td>{open}{}{close}", nats(*mean));
            if let Some(spread) = spread {
                let _ = write!(out, "<small>± {}</small>", value(*spread));
            }
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

/// Whether no cell has less, and some has more.
fn is_best(rows: &[SweepRow], column: usize, mean: f64) -> bool {
    let others = || {
        rows.iter().filter_map(|row| Some((*row.figures.get(column)?)?.0)).filter(|x| x.is_finite())
    };
    others().all(|other| mean <= other) && others().any(|other| mean < other)
}

fn charts(curves: &[SweepCurve]) -> Vec<Chart> {
    let curves: Vec<SweepCurve> = curves.iter().map(settled).collect();
    let points = || curves.iter().flat_map(|curve| curve.runs.iter().flatten());
    let longest = points().map(|point| point.seconds).fold(0.0, f64::max);
    let (unit, seconds) = match longest {
        t if t >= 2.0 * 3600.0 => ("hours", 3600.0),
        t if t >= 120.0 => ("minutes", 60.0),
        _ => ("seconds", 1.0),
    };
    let time = format!("training time ({unit})");
    let mut charts = vec![
        chart(&curves, "Over training tokens", "tokens", &|point| point.tokens),
        chart(&curves, "Over training FLOPs", "FLOPs", &|point| point.flops),
        chart(&curves, "Over training time", &time, &move |point| point.seconds / seconds),
    ];
    charts.retain(|chart| !chart.is_empty());
    charts
}

/// Without the validations of the first weights.
fn settled(curve: &SweepCurve) -> SweepCurve {
    let late = |run: &Vec<SweepPoint>| {
        let end = run.last().map_or(0.0, |last| last.tokens);
        run.iter().filter(|point| point.tokens >= LEFT_OUT * end).copied().collect()
    };
    SweepCurve { name: curve.name.clone(), runs: curve.runs.iter().map(late).collect() }
}

fn chart(curves: &[SweepCurve], title: &str, x: &str, cost: &dyn Fn(&SweepPoint) -> f64) -> Chart {
    let mut drawn = Vec::new();
    let mut legend = Vec::new();
    for (index, curve) in curves.iter().enumerate() {
        let look = Look::new(index, Mark::Dots);
        legend.push((look, curve.name.clone()));
        if curve.runs.len() > 1 {
            for run in &curve.runs {
                let faint = Look::new(index, Mark::Faint);
                drawn.push(Curve { points: series(run, cost), look: faint });
            }
        }
        drawn.push(Curve { points: series(&mean(&curve.runs), cost), look });
    }
    Chart {
        title: title.to_owned(),
        x: AxisTitle { text: x.to_owned(), scale: Scale::FromZero },
        y: AxisTitle { text: "bound, nats per token".to_owned(), scale: Scale::Linear },
        curves: drawn,
        legend,
        width: WIDE,
    }
}

fn series(points: &[SweepPoint], cost: &dyn Fn(&SweepPoint) -> f64) -> Series {
    let mut series = Series::default();
    for point in points {
        series.push(cost(point), point.bound);
    }
    series
}

/// The mean over the runs where all of them were validated.
fn mean(runs: &[Vec<SweepPoint>]) -> Vec<SweepPoint> {
    let Some((first, others)) = runs.split_first() else { return Vec::new() };
    let over_runs = |point: &SweepPoint| {
        let same =
            |run: &Vec<SweepPoint>| run.iter().find(|other| other.tokens == point.tokens).copied();
        let mut points = vec![*point];
        for run in others {
            points.push(same(run)?);
        }
        let of = |part: fn(&SweepPoint) -> f64| {
            points.iter().map(part).sum::<f64>() / points.len() as f64
        };
        Some(SweepPoint {
            tokens: point.tokens,
            flops: of(|p| p.flops),
            seconds: of(|p| p.seconds),
            bound: of(|p| p.bound),
        })
    };
    first.iter().filter_map(over_runs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(tokens: f64, bound: f64) -> SweepPoint {
        SweepPoint { tokens, flops: 1e6 * tokens, seconds: tokens / 10.0, bound }
    }

    fn page() -> SweepPage {
        let row = |name: &str, bound: f64| SweepRow {
            name: name.to_owned(),
            settings: vec!["fast.steps = 4".to_owned()],
            runs: 2,
            tokens: 2000.0,
            flops: 2e9,
            seconds: Some(200.0),
            figures: vec![Some((bound, Some(0.01))), Some((bound / 10.0, None))],
        };
        let run = |end: f64| vec![point(1.0, 9.0), point(1000.0, 3.0), point(2000.0, end)];
        let curve = |name: &str, end: f64| SweepCurve {
            name: name.to_owned(),
            runs: vec![run(end), run(end + 0.2)],
        };
        SweepPage {
            title: "a <sweep>".to_owned(),
            lead: "2 cells".to_owned(),
            notes: vec!["b & c failed".to_owned()],
            columns: vec![("bound".to_owned(), true), ("kl".to_owned(), false)],
            legend: vec!["bound: nll + kl".to_owned()],
            rows: vec![row("steps=4", 2.5), row("steps=8", 2.25)],
            curves: vec![curve("steps=4", 2.5), curve("steps=8", 2.25)],
        }
    }

    #[test]
    fn the_page_has_the_table_and_a_chart_for_each_cost() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("sweep.html");
        let summary = write_sweep_report(&page(), &out).unwrap();
        let text = std::fs::read_to_string(&out).unwrap();
        assert_eq!(summary.bytes, text.len() as u64);
        super::super::tests::assert_sound(&text);
        assert!(text.contains("a &lt;sweep&gt;") && text.contains("b &amp; c failed"));
        assert_eq!(text.matches("<figure>").count(), 3);
        let plot = text.split_once("<figure class=\"dots\">").unwrap().1;
        let plot = plot.split_once("</figure>").unwrap().0;
        assert!(plot.contains("bound: 2.250 ± 0.010") && !plot.contains("kl"), "{plot}");
        assert!(text.contains("<b>2.250</b>") && text.contains("<td>2.500<"), "the best in bold");
        assert!(text.contains("<td>0.225<"), "a column that does not rank has no best");
        // The first validation is left out, so the axis does not reach its value.
        assert!(!text.contains(">9.0<") && text.contains(">3.0<"), "{text}");
        assert_eq!(text.matches("curve c0 faint").count(), 6, "two seeds in each chart");
    }

    #[test]
    fn means_are_over_the_points_that_all_runs_have() {
        let runs = [vec![point(10.0, 4.0), point(20.0, 3.0)], vec![point(10.0, 5.0)]];
        assert_eq!(mean(&runs), [point(10.0, 4.5)]);
        assert_eq!(mean(&[]), []);
    }

    #[test]
    fn a_sweep_without_runs_has_a_page() {
        let mut page = page();
        for curve in &mut page.curves {
            curve.runs.clear();
        }
        for row in &mut page.rows {
            row.figures.fill(None);
        }
        let text = html(&page);
        super::super::tests::assert_sound(&text);
        assert_eq!(text.matches("<figure").count(), 0);
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("sweep.svg");
        assert!(!write_sweep_picture(&page, &out).unwrap() && !out.exists());
    }
}
