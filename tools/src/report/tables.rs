//! The tables of a report.

use std::fmt::Write as _;

use super::config::side_by_side;
use super::escape::escape;
use super::number::{bytes, count, duration, nats, value};
use super::run::Run;
use super::summary::{RunSummary, Validation};

/// A number about a run: what it is, how it reads, and what to know about it.
struct Fact {
    label: &'static str,
    shown: Option<String>,
    detail: Option<String>,
    /// What to compare runs by, the smaller the better.
    rank: Option<f64>,
}

fn facts(run: &RunSummary) -> Vec<Fact> {
    let fact = |label, shown, detail, rank| Fact { label, shown, detail, rank };
    let bound = |label, validation: Option<Validation>| {
        fact(
            label,
            validation.map(|v| nats(v.bound)),
            validation.map(|v| {
                let (nll, kl) = (nats(v.nll), nats(v.kl));
                format!("nll {nll} + kl {kl}, iteration {}", count(v.iteration))
            }),
            validation.map(|v| v.bound),
        )
    };
    let train = run.train_bound;
    let speed = run.tokens_per_second;
    vec![
        bound("Validation bound, last", run.last_validation),
        bound("Validation bound, best", run.best_validation),
        fact(
            "Training bound",
            train.map(nats),
            train.map(|_| "mean of the last 100 iterations".to_owned()),
            train,
        ),
        fact("Iterations", Some(count(run.iterations)), None, None),
        fact("Training tokens", run.tokens.map(count), None, None),
        fact(
            "Tokens per second",
            speed.map(value),
            speed.map(|_| "median".to_owned()),
            speed.map(|speed| -speed),
        ),
        fact("Training time", run.seconds.map(duration), None, None),
        fact(
            "Peak memory",
            run.peak_rss_bytes.map(|peak| bytes(peak as f64)),
            run.peak_rss_bytes.map(|_| "resident".to_owned()),
            run.peak_rss_bytes.map(|peak| peak as f64),
        ),
    ]
}

/// The numbers of a single run, large; what was not recorded is left out.
pub(super) fn tiles(run: &Run) -> String {
    let mut out = String::from("<dl class=\"tiles\">\n");
    for fact in facts(&run.summary) {
        let Some(shown) = fact.shown else { continue };
        let _ = write!(out, "<div><dt>{}</dt><dd>{shown}", fact.label);
        if let Some(detail) = fact.detail {
            let _ = write!(out, "<small>{detail}</small>");
        }
        out.push_str("</dd></div>\n");
    }
    out.push_str("</dl>\n");
    out
}

/// The numbers of several runs, a row each, the best of a column in bold.
pub(super) fn comparison(runs: &[Run]) -> String {
    let rows: Vec<Vec<Fact>> = runs.iter().map(|run| facts(&run.summary)).collect();
    // Where all are level, none is the best.
    let best = |column: usize| {
        let ranks = rows.iter().filter_map(|row| row[column].rank);
        let ranks: Vec<f64> = ranks.filter(|rank| rank.is_finite()).collect();
        let least = ranks.iter().copied().min_by(f64::total_cmp);
        least.filter(|least| ranks.iter().any(|rank| rank > least))
    };
    let mut out =
        String::from("<div class=\"scroll\"><table class=\"numbers\">\n<thead><tr><th>Run</th>");
    for fact in &rows[0] {
        let _ = write!(out, "<th>{}</th>", fact.label);
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (index, (run, row)) in runs.iter().zip(&rows).enumerate() {
        let _ = write!(
            out,
            "<tr><th><i class=\"chip c{}\"></i>{}</th>",
            index % super::look::COLORS,
            escape(&run.summary.name)
        );
        for (column, fact) in row.iter().enumerate() {
            let wins = fact.rank.is_some() && fact.rank == best(column);
            let shown = fact.shown.as_deref().unwrap_or("–");
            let (open, close) = if wins { ("<b>", "</b>") } else { ("", "") };
            let _ = write!(out, "<td>{open}{shown}{close}");
            if let Some(detail) = &fact.detail {
                let _ = write!(out, "<small>{detail}</small>");
            }
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// The pairs of `summary.json`, a column for each run; empty where no run has any.
pub(super) fn summaries(runs: &[Run]) -> String {
    let pairs: Vec<_> = runs.iter().map(|run| run.facts.as_slice()).collect();
    pair_table(runs, side_by_side(&pairs))
}

/// The settings in which the runs differ; empty where they do not.
pub(super) fn differences(runs: &[Run]) -> String {
    let pairs: Vec<_> = runs.iter().map(|run| run.config.values.as_slice()).collect();
    let mut rows = side_by_side(&pairs);
    rows.retain(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1]));
    pair_table(runs, rows)
}

fn pair_table(runs: &[Run], rows: Vec<(&str, Vec<Option<&str>>)>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut out = String::from("<div class=\"scroll\"><table class=\"pairs\">\n");
    if runs.len() > 1 {
        out.push_str("<thead><tr><th></th>");
        for run in runs {
            let _ = write!(out, "<th>{}</th>", escape(&run.summary.name));
        }
        out.push_str("</tr></thead>\n");
    }
    out.push_str("<tbody>\n");
    for (key, values) in rows {
        let _ = write!(out, "<tr><th>{}</th>", escape(key));
        for value in values {
            let _ = write!(out, "<td>{}</td>", escape(value.unwrap_or("–")));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}
