//! A chart: curves over a common pair of axes, drawn as SVG inside an HTML figure.

use std::fmt::Write as _;

use super::axis::{Axis, Scale};
use super::escape::escape;
use super::look::{Look, Mark};
use super::number;
use super::series::Series;

/// Buckets per curve: about one for every pixel and a half of the width.
const BUCKETS: usize = 360;
/// Curves with more points than this get no marker on each.
const MARKED: usize = 120;
/// Share of faint values that may lie beyond either end of the y axis, so that one spike does not
/// flatten everything else.
const CLIPPED: f64 = 0.002;

/// One curve of a chart.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) points: Series,
    pub(super) look: Look,
}

/// What stands beside an axis and how it is divided.
#[derive(Debug)]
pub(super) struct AxisTitle {
    pub(super) text: String,
    pub(super) scale: Scale,
}

/// Curves, their axes and what is said about them.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: AxisTitle,
    pub(super) y: AxisTitle,
    pub(super) curves: Vec<Curve>,
    pub(super) legend: Vec<(Look, String)>,
    pub(super) width: u32,
}

const HEIGHT: u32 = 300;
const TOP: f64 = 10.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 46.0;
/// How far a marker reaches beyond its point.
const RIM: f64 = 4.0;

/// Where curves are drawn, in the units of the picture.
struct Plot {
    left: f64,
    width: f64,
    height: f64,
    x: Axis,
    y: Axis,
}

impl Plot {
    fn new(chart: &Chart) -> Self {
        let over_x = chart.curves.iter().flat_map(|curve| {
            let points = &curve.points;
            points.drawable().map(|(x, _)| x)
        });
        let x = Axis::new(over_x, chart.x.scale, chart.width as usize / 90);
        let y = Axis::new(drawn_values(&chart.curves).into_iter(), chart.y.scale, 5);
        let longest = y.ticks.iter().map(|tick| tick.label.chars().count()).max();
        // Room for the turned title and for the labels, at the width of a digit.
        let left = 34.0 + 6.6 * longest.unwrap_or(1) as f64;
        Self {
            left,
            width: f64::from(chart.width) - left - RIGHT,
            height: f64::from(HEIGHT) - TOP - BOTTOM,
            x,
            y,
        }
    }

    /// A point's place inside the plot; points far above or below are kept near, as renderers
    /// disagree about enormous coordinates.
    fn place(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let (x, y) = (self.x.place(x)?, self.y.place(y)?.clamp(-9.0, 10.0));
        Some((x * self.width, (1.0 - y) * self.height))
    }
}

/// The values that decide the range of the y axis.
fn drawn_values(curves: &[Curve]) -> Vec<f64> {
    let mut values = Vec::new();
    for curve in curves {
        if curve.look.mark == Mark::Faint {
            values.extend(curve.points.quantile(CLIPPED));
            values.extend(curve.points.quantile(1.0 - CLIPPED));
        } else {
            values.extend(curve.points.drawable().map(|(_, y)| y));
        }
    }
    values
}

impl Chart {
    /// Whether there is nothing to draw, not even a gap.
    pub(super) fn is_empty(&self) -> bool {
        self.curves.iter().all(|curve| curve.points.is_empty())
    }

    /// The chart as an HTML figure.
    pub(super) fn figure(&self) -> String {
        let plot = Plot::new(self);
        let mut out = format!("<figure>\n<figcaption>{}</figcaption>\n", escape(&self.title));
        if !self.legend.is_empty() {
            out.push_str("<ul class=\"legend\">");
            for (look, name) in &self.legend {
                let _ = write!(out, "<li>{}{}</li>", look.swatch(), escape(name));
            }
            out.push_str("</ul>\n");
        }
        self.write_svg(&plot, &mut out);
        let (outside, all) = self.outside(&plot);
        if outside > 0 {
            let _ = writeln!(
                out,
                "<p class=\"aside\">{} of {} values lie outside the range shown.</p>",
                number::count(outside as u64),
                number::count(all as u64)
            );
        }
        out.push_str("</figure>\n");
        out
    }

    /// How many of the values a curve was drawn from are not to be seen, and how many there are.
    fn outside(&self, plot: &Plot) -> (usize, usize) {
        let shown = |y| {
            let at = plot.y.place(y);
            at.is_some_and(|at| (-1e-9..=1.0 + 1e-9).contains(&at))
        };
        // A mean stands for the faint curve behind it, and is no further value.
        let means = self.curves.iter().any(|curve| curve.look.mark == Mark::Faint);
        let measured = self
            .curves
            .iter()
            .filter(|curve| !(means && curve.look.mark == Mark::Line))
            .flat_map(|curve| curve.points.drawable());
        measured.fold((0, 0), |(outside, all), (_, y)| (outside + usize::from(!shown(y)), all + 1))
    }

    fn write_svg(&self, plot: &Plot, out: &mut String) {
        let _ = write!(
            out,
            "<svg viewBox=\"0 0 {} {HEIGHT}\" role=\"img\">\n<title>{}: {} over {}</title>\n",
            self.width,
            escape(&self.title),
            escape(&self.y.text),
            escape(&self.x.text),
        );
        self.write_axes(plot, out);
        let (left, width, height) = (plot.left, plot.width, plot.height);
        // An inner svg clips what is drawn in it; the rim leaves markers at the ends whole.
        let _ = writeln!(
            out,
            "<svg x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" viewBox=\"-{RIM} -{RIM} {:.1} {:.1}\">",
            left - RIM,
            TOP - RIM,
            width + 2.0 * RIM,
            height + 2.0 * RIM,
            width + 2.0 * RIM,
            height + 2.0 * RIM,
        );
        // Faint curves first, so that none covers a mean.
        let (faint, firm): (Vec<&Curve>, Vec<&Curve>) =
            self.curves.iter().partition(|curve| curve.look.mark == Mark::Faint);
        for curve in faint.into_iter().chain(firm) {
            write_curve(curve, plot, out);
        }
        out.push_str("</svg>\n");
        if self.curves.iter().all(|curve| curve.points.drawable().next().is_none()) {
            let _ = writeln!(
                out,
                "<text class=\"none\" x=\"{:.1}\" y=\"{:.1}\">no finite values</text>",
                left + width / 2.0,
                TOP + height / 2.0
            );
        }
        out.push_str("</svg>\n");
    }

    fn write_axes(&self, plot: &Plot, out: &mut String) {
        let (left, width, bottom) = (plot.left, plot.width, TOP + plot.height);
        for tick in &plot.y.ticks {
            let y = TOP + (1.0 - tick.at) * plot.height;
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{left:.1} {y:.1}h{width:.1}\"/><text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                left - 6.0,
                y + 4.0,
                tick.label
            );
        }
        for tick in &plot.x.ticks {
            let x = left + tick.at * width;
            let _ = writeln!(
                out,
                "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v4\"/><text class=\"x\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 17.0,
                tick.label
            );
        }
        let log = if plot.y.is_log() { ", log scale" } else { "" };
        let _ = writeln!(
            out,
            "<path class=\"axis\" d=\"M{left:.1} {bottom:.1}h{width:.1}\"/>\
             <text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
             <text class=\"x\" transform=\"translate(13 {:.1}) rotate(-90)\">{}{log}</text>",
            left + width / 2.0,
            f64::from(HEIGHT) - 8.0,
            escape(&self.x.text),
            TOP + plot.height / 2.0,
            escape(&self.y.text),
        );
    }
}

fn write_curve(curve: &Curve, plot: &Plot, out: &mut String) {
    let points = curve.points.downsampled(BUCKETS);
    let places: Vec<Option<(f64, f64)>> = points.points().map(|(x, y)| plot.place(x, y)).collect();
    let _ = write!(out, "<g class=\"{}\"><path d=\"", curve.look.classes());
    let mut drawing = false;
    for place in &places {
        if let Some((x, y)) = place {
            let _ = write!(out, "{}{x:.1} {y:.1}", if drawing { 'L' } else { 'M' });
        }
        drawing = place.is_some();
    }
    out.push_str("\"/>");
    let every = curve.look.mark == Mark::Dots && points.len() <= MARKED;
    for (index, (x, y)) in points.points().enumerate() {
        let Some((at_x, at_y)) = places[index] else {
            continue;
        };
        let neighbour = |index: Option<usize>| index.and_then(|index| places.get(index)?.as_ref());
        let alone =
            neighbour(index.checked_sub(1)).is_none() && neighbour(Some(index + 1)).is_none();
        // A point between gaps has no line to be seen by.
        if every || alone {
            let _ = write!(
                out,
                "<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"3\"><title>{}: {}</title></circle>",
                number::position(x),
                number::value(y)
            );
        }
    }
    out.push_str("</g>\n");
}
