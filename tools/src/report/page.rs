//! The page: its sections in their order.

use std::fmt::Write as _;

use super::chart::Chart;
use super::curves::HALF_LIFE;
use super::escape::escape;
use super::run::Run;
use super::samples_table::samples_table;
use super::{charts, fast_charts, tables};

pub(super) const STYLE: &str =
    concat!(include_str!("colors.css"), include_str!("chart.css"), include_str!("page.css"));

/// The whole document.
pub(super) fn page(runs: &[Run], notes: &[String]) -> String {
    let names: Vec<&str> = runs.iter().map(|run| run.summary.name.as_str()).collect();
    let title = escape(&names.join(", "));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · training report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<p>Latent Thought Model · training report</p>\n<h1>{title}</h1>\n</header>\n<main>\n"
    );
    write_overview(&mut out, runs, notes);
    write_curves(&mut out, runs);
    write_fast(&mut out, runs);
    write_samples(&mut out, runs);
    write_configurations(&mut out, runs);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn write_overview(out: &mut String, runs: &[Run], notes: &[String]) {
    match runs {
        [run] => out.push_str(&tables::tiles(run)),
        runs => out.push_str(&tables::comparison(runs)),
    }
    out.push_str(
        "<p class=\"lead\">Losses are in nats per token. The bound, nll + kl, is an upper bound on the negative \
         log-likelihood of the text: lower is better. The nll alone is no such bound, as its latents were inferred \
         from the very text they explain; the kl is what these latents cost.</p>\n",
    );
    if !notes.is_empty() {
        out.push_str("<aside class=\"notes\"><h2>Notes</h2>\n<ul>\n");
        for note in notes {
            let _ = writeln!(out, "<li>{}</li>", escape(note));
        }
        out.push_str("</ul></aside>\n");
    }
    let summaries = tables::summaries(runs);
    if !summaries.is_empty() {
        let _ = write!(out, "<section><h2>Setup</h2>\n{summaries}</section>\n");
    }
    let differences = tables::differences(runs);
    if !differences.is_empty() {
        let _ = write!(out, "<section><h2>Settings that differ</h2>\n{differences}</section>\n");
    }
}

fn write_curves(out: &mut String, runs: &[Run]) {
    let smoothing = format!(
        "Faint: every iteration. Firm: its mean, weighted to both sides with a half-life of {} % of the run (geometric on log scales).",
        HALF_LIFE * 100.0
    );
    for (title, lead, charts) in [
        ("Objective", smoothing.as_str(), charts::objective(runs)),
        ("Cost", "", charts::cost(runs)),
        ("Optimiser", "", charts::optimiser(runs)),
        ("Resources", "", charts::resources(runs)),
    ] {
        write_charts(out, title, lead, "two", &charts);
    }
}

fn write_fast(out: &mut String, runs: &[Run]) {
    if let Some(fast) = fast_charts::fast_charts(runs) {
        let lead = format!(
            "Inference of the latents, step by step, at the first, the middle and the last recorded iteration ({}).",
            fast.source
        );
        write_charts(out, "Fast steps", &lead, "three", &fast.charts);
    }
}

pub(super) fn write_charts(
    out: &mut String,
    title: &str,
    lead: &str,
    columns: &str,
    charts: &[Chart],
) {
    if charts.is_empty() {
        return;
    }
    let _ = writeln!(out, "<section><h2>{title}</h2>");
    if !lead.is_empty() {
        let _ = writeln!(out, "<p class=\"lead\">{lead}</p>");
    }
    let _ = writeln!(out, "<div class=\"charts {columns}\">");
    for chart in charts {
        out.push_str(&chart.figure());
    }
    out.push_str("</div></section>\n");
}

fn write_samples(out: &mut String, runs: &[Run]) {
    let tables: Vec<String> = runs.iter().map(|run| samples_table(&run.samples)).collect();
    if tables.iter().all(String::is_empty) {
        return;
    }
    out.push_str("<section><h2>Samples</h2>\n");
    for (run, table) in runs.iter().zip(tables) {
        if runs.len() > 1 && !table.is_empty() {
            let _ = writeln!(out, "<h3>{}</h3>", escape(&run.summary.name));
        }
        out.push_str(&table);
    }
    out.push_str("</section>\n");
}

fn write_configurations(out: &mut String, runs: &[Run]) {
    if runs.iter().all(|run| run.config.text.is_none()) {
        return;
    }
    out.push_str("<section><h2>Configuration</h2>\n");
    for run in runs {
        if let Some(text) = &run.config.text {
            let _ = write!(
                out,
                "<details><summary>config.toml of {}</summary>\n<pre>\n{}</pre>\n</details>\n",
                escape(&run.summary.name),
                escape(text)
            );
        }
    }
    out.push_str("</section>\n");
}
