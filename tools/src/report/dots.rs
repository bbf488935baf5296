//! A dot plot: a row for each thing that is compared, and on it a dot for each of its figures.

use std::fmt::Write as _;

use super::axis::{Axis, Scale};
use super::escape::escape;
use super::look::COLORS;
use super::number::nats;

/// Mean and spread of one figure.
pub(super) type Figure = (f64, Option<f64>);

/// Rows of figures over a common axis.
#[derive(Debug)]
pub(super) struct DotPlot {
    pub(super) title: String,
    /// What the axis measures.
    pub(super) axis: String,
    /// Names of the figures.
    pub(super) figures: Vec<String>,
    /// A name, and its figures in the order of their names; absent ones have no dot.
    pub(super) rows: Vec<(String, Vec<Option<Figure>>)>,
}

const WIDTH: f64 = 760.0;
const ROW: f64 = 26.0;
const LEGEND: f64 = 20.0;
const BOTTOM: f64 = 44.0;
const RIGHT: f64 = 18.0;
/// Width of a character of 12 pixels, on the safe side.
const CHARACTER: f64 = 7.0;
/// Between the dots of a row, upright, so that equal figures stay apart.
const APART: f64 = 3.0;

impl DotPlot {
    /// Whether there is nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.dots().next().is_none()
    }

    fn dots(&self) -> impl Iterator<Item = Figure> {
        self.rows.iter().flat_map(|(_, figures)| figures.iter().copied().flatten())
    }

    /// For a page that has the style sheet.
    pub(super) fn figure(&self) -> String {
        format!(
            "<figure class=\"dots\">\n<figcaption>{}</figcaption>\n{}</figure>\n",
            escape(&self.title),
            self.svg("")
        )
    }

    /// A picture by itself, light or dark as its reader likes.
    pub(super) fn picture(&self) -> String {
        let style = concat!(include_str!("colors.css"), include_str!("chart.css"));
        let page = "svg { background: var(--paper); font-family: system-ui, \"DejaVu Sans\", sans-serif; }\n";
        self.svg(&format!("<style>\n{style}{page}</style>\n"))
    }

    fn svg(&self, style: &str) -> String {
        let longest = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let left = 14.0 + CHARACTER * longest as f64;
        let legend = self.legend(left);
        let top = 6.0 + LEGEND * legend.len() as f64;
        let bottom = top + ROW * self.rows.len() as f64;
        let height = bottom + BOTTOM;
        let ends = self.dots().flat_map(|(mean, spread)| {
            let spread = spread.unwrap_or(0.0);
            [mean - spread, mean + spread]
        });
        let axis = Axis::new(ends, Scale::Linear, 8);
        let place = |value: f64| axis.place(value).map(|at| left + at * (WIDTH - left - RIGHT));

        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.1}\" role=\"img\">\n\
             <title>{}: {}</title>\n{style}",
            escape(&self.title),
            escape(&self.axis)
        );
        for (line, items) in legend.iter().enumerate() {
            let y = 14.0 + LEGEND * line as f64;
            for (x, figure) in items {
                let _ = writeln!(
                    out,
                    "<circle class=\"dot c{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/><text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                    figure % COLORS,
                    x + 4.0,
                    y - 4.0,
                    x + 13.0,
                    escape(&self.figures[*figure])
                );
            }
        }
        for tick in &axis.ticks {
            let x = left + tick.at * (WIDTH - left - RIGHT);
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/><text class=\"x\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 16.0,
                tick.label
            );
        }
        for (index, (name, figures)) in self.rows.iter().enumerate() {
            let y = top + ROW * (index as f64 + 0.5);
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{left:.1} {:.1}H{:.1}\"/><text class=\"y row\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                y + ROW / 2.0,
                WIDTH - RIGHT,
                left - 8.0,
                y + 4.0,
                escape(name)
            );
            let middle = figures.len().saturating_sub(1) as f64 / 2.0;
            for (at, figure) in figures.iter().enumerate() {
                let Some((mean, spread)) = figure else { continue };
                let Some(x) = place(*mean) else { continue };
                let y = y + APART * (at as f64 - middle);
                let color = at % COLORS;
                let mut told = nats(*mean);
                if let Some(spread) = spread {
                    let _ = write!(told, " ± {}", nats(*spread));
                    if let (Some(from), Some(to)) = (place(mean - spread), place(mean + spread)) {
                        let _ = writeln!(
                            out,
                            "<path class=\"spread c{color}\" d=\"M{from:.1} {y:.1}H{to:.1}\"/>"
                        );
                    }
                }
                let _ = writeln!(
                    out,
                    "<circle class=\"dot c{color}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.4\"><title>{}, {}: {told}</title></circle>",
                    escape(name),
                    escape(self.figures.get(at).map_or("", String::as_str))
                );
            }
        }
        let _ = writeln!(
            out,
            "<path class=\"axis\" d=\"M{left:.1} {bottom:.1}H{:.1}\"/><text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n</svg>",
            WIDTH - RIGHT,
            left + (WIDTH - left - RIGHT) / 2.0,
            height - 8.0,
            escape(&self.axis)
        );
        out
    }

    /// The figures in lines that fit: where each begins, and which it is.
    fn legend(&self, left: f64) -> Vec<Vec<(f64, usize)>> {
        let mut lines: Vec<Vec<(f64, usize)>> = Vec::new();
        let mut x = f64::INFINITY;
        for (index, name) in self.figures.iter().enumerate() {
            let width = 27.0 + CHARACTER * name.chars().count() as f64;
            if x + width > WIDTH {
                lines.push(Vec::new());
                x = left;
            }
            if let Some(line) = lines.last_mut() {
                line.push((x, index));
            }
            x += width;
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> DotPlot {
        DotPlot {
            title: "Figures <here>".to_owned(),
            axis: "nats".to_owned(),
            figures: vec!["bound".to_owned(), "causal & fair".to_owned()],
            rows: vec![
                ("first".to_owned(), vec![Some((2.0, Some(0.25))), Some((3.0, None))]),
                ("second".to_owned(), vec![None, Some((2.5, None))]),
            ],
        }
    }

    /// The x of every dot of the rows, in their order.
    fn places(svg: &str) -> Vec<f64> {
        let rows =
            svg.split("r=\"3.4\"").map(|piece| piece.rsplit_once("cx=\"")).filter(|x| x.is_some());
        let mut places: Vec<f64> =
            rows.flatten().filter_map(|(_, rest)| rest.split('"').next()?.parse().ok()).collect();
        places.truncate(svg.matches("r=\"3.4\"").count());
        places
    }

    #[test]
    fn dots_stand_where_their_values_are() {
        let svg = plot().svg("");
        let at = places(&svg);
        assert_eq!(at.len(), 3, "{svg}");
        assert!(((at[1] - at[0]) / 2.0 - (at[1] - at[2])).abs() < 0.2, "{at:?}: 2, 3 and 2.5");
        assert_eq!(svg.matches("class=\"spread").count(), 1);
        assert!(svg.contains("causal &amp; fair: 3.000") && svg.contains("bound: 2.000 ± 0.250"));
    }

    #[test]
    fn pages_and_pictures_are_sound() {
        super::super::tests::assert_sound(&format!("</style>{}", plot().figure()));
        let picture = plot().picture();
        let (head, body) = picture.split_once("<style>").unwrap();
        let (style, body) = body.split_once("</style>").unwrap();
        assert!(head.contains("xmlns=") && style.contains("--c0"));
        super::super::tests::assert_sound(&format!("</style>{head}{body}"));
    }

    #[test]
    fn a_long_legend_goes_on_in_the_next_line() {
        let mut plot = plot();
        plot.figures = (0..12).map(|i| format!("a figure with a name {i}")).collect();
        let lines = plot.legend(100.0);
        assert!(lines.len() > 1);
        assert_eq!(
            lines.concat().iter().map(|(_, i)| *i).collect::<Vec<_>>(),
            (0..12).collect::<Vec<_>>()
        );
        assert!(lines.iter().all(|line| line[0].0 == 100.0));
    }

    #[test]
    fn nothing_to_draw_is_known() {
        let mut plot = plot();
        plot.rows = vec![("none".to_owned(), vec![None, None])];
        assert!(plot.is_empty());
        super::super::tests::assert_sound(&format!("</style>{}", plot.figure()));
    }
}
