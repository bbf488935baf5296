//! A page about what the latents of each layer know.

use std::fmt::Write as _;
use std::path::Path;

use super::axis::Scale;
use super::chart::{AxisTitle, Chart, Curve};
use super::curves::WIDE;
use super::escape::escape;
use super::look::{Look, Mark};
use super::page::STYLE;
use super::series::Series;
use super::{Error, publish};

/// Figures with the latents of so many layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbePoint {
    /// Layers whose latents are there.
    pub layers: usize,
    /// Nats per token.
    pub nll: f64,
    /// Share of the tokens that are the most probable one where they stand.
    pub accuracy: f64,
}

/// A probe of one model on one set of texts.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbePage {
    /// Name of the run.
    pub run: String,
    /// What was done, in sentences.
    pub about: String,
    /// With the latents of the first layers.
    pub first_layers: Vec<ProbePoint>,
    /// With those of the last.
    pub last_layers: Vec<ProbePoint>,
}

const NAMES: [&str; 2] = ["first k layers", "last k layers"];

/// Writes a page with the curves and the table of a probe to the file `out`, replacing what is there
/// only when the new page is complete. Returns its bytes.
///
/// # Errors
/// When the page cannot be written.
pub fn write_probe(page: &ProbePage, out: &Path) -> Result<u64, Error> {
    let html = html(page);
    publish::publish(out, html.as_bytes())?;
    Ok(html.len() as u64)
}

fn html(page: &ProbePage) -> String {
    let title = escape(&page.run);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · probe of the layers</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<p>Latent Thought Model · probe of the layers</p>\n<h1>{title}</h1>\n</header>\n\
         <main>\n<p class=\"lead\">{}</p>\n",
        escape(&page.about)
    );
    out.push_str("<section><h2>Reconstruction</h2>\n<div class=\"charts two\">\n");
    let charts = [
        chart(page, "Accuracy", "share of tokens", |point| point.accuracy),
        chart(page, "Cross-entropy (nll)", "nats per token", |point| point.nll),
    ];
    for chart in charts {
        out.push_str(&chart.figure());
    }
    out.push_str("</div></section>\n<section><h2>Figures</h2>\n");
    out.push_str(&table(page));
    out.push_str("</section>\n</main>\n</body>\n</html>\n");
    out
}

fn chart(page: &ProbePage, title: &str, unit: &str, value: fn(&ProbePoint) -> f64) -> Chart {
    let looks = [0, 1].map(|index| Look::new(index, Mark::Dots));
    let curves = [&page.first_layers, &page.last_layers].into_iter().zip(looks);
    Chart {
        title: title.to_owned(),
        x: AxisTitle { text: "layers k with their latents".to_owned(), scale: Scale::Whole },
        y: AxisTitle { text: unit.to_owned(), scale: Scale::Linear },
        curves: curves
            .map(|(points, look)| Curve {
                points: Series {
                    x: points.iter().map(|point| point.layers as f64).collect(),
                    y: points.iter().map(value).collect(),
                },
                look,
            })
            .collect(),
        legend: looks.into_iter().zip(NAMES.map(str::to_owned)).collect(),
        width: WIDE,
    }
}

fn table(page: &ProbePage) -> String {
    let mut out =
        String::from("<div class=\"scroll\"><table class=\"numbers\">\n<thead><tr><th>k</th>");
    for name in NAMES {
        let _ = write!(out, "<th>nll, {name}</th><th>accuracy, {name}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (first, last) in page.first_layers.iter().zip(&page.last_layers) {
        let _ = write!(out, "<tr><th>{}</th>", first.layers);
        for point in [first, last] {
            let _ =
                write!(out, "<td>{:.4}</td><td>{:.2} %</td>", point.nll, 100.0 * point.accuracy);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(accuracy: [f64; 3]) -> Vec<ProbePoint> {
        let numbered = accuracy.into_iter().enumerate();
        numbered
            .map(|(layers, accuracy)| ProbePoint { layers, nll: 3.0 - accuracy, accuracy })
            .collect()
    }

    fn page() -> ProbePage {
        ProbePage {
            run: "a <run>".to_owned(),
            about: "12 texts & more".to_owned(),
            first_layers: points([0.25, 0.4, 0.75]),
            last_layers: points([0.25, 0.5, 0.75]),
        }
    }

    #[test]
    fn a_page_has_every_figure_and_needs_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("probe.html");
        let bytes = write_probe(&page(), &out).unwrap();
        let html = std::fs::read_to_string(&out).unwrap();
        assert_eq!(bytes, html.len() as u64);
        assert!(html.contains("a &lt;run&gt;") && html.contains("12 texts &amp; more"));
        let row = "<tr><th>1</th><td>2.6000</td><td>40.00 %</td><td>2.5000</td><td>50.00 %</td>";
        assert!(html.contains(row), "{html}");
        // A curve from each end, with a marker for each of three numbers of layers, in two charts.
        for color in ["c0", "c1"] {
            let curve = format!("<g class=\"curve {color}\"><path d=\"M0.0 ");
            let drawn: Vec<&str> = html.split(&curve).skip(1).collect();
            assert_eq!(drawn.len(), 2, "{html}");
            assert!(
                drawn
                    .iter()
                    .all(|d| d.split("</g>").next().unwrap().matches("<circle").count() == 3)
            );
        }
        assert!(html.contains("<title>1: 0.4000</title>"), "{html}");
        assert!(!html.contains("http") && html.ends_with("</html>\n"));
    }

    #[test]
    fn a_page_that_cannot_be_written_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(write_probe(&page(), &file.join("x.html")), Err(Error::Write { .. })));
    }
}
