//! From measured series to the curves of a chart.

use super::axis::Scale;
use super::chart::{AxisTitle, Chart, Curve};
use super::look::{Look, Mark};
use super::run::Run;
use super::series::Series;

/// Shorter training curves are drawn point by point, without a mean.
const SMOOTHED_FROM: usize = 20;
/// Half-life of the mean as a share of the curve.
pub(super) const HALF_LIFE: f64 = 0.01;
/// Width of a chart that stands in two columns.
pub(super) const WIDE: u32 = 580;
/// Width of a chart that stands in three columns.
pub(super) const NARROW: u32 = 410;

/// A noisy quantity: the single values, faint, and their mean.
pub(super) fn noisy(series: &Series, index: usize) -> Vec<Curve> {
    with_mean(series, index, Series::smoothed)
}

/// A noisy quantity over powers of ten: its mean is the geometric one, which a spike of a hundred
/// times the usual value does not carry away.
pub(super) fn noisy_log(series: &Series, index: usize) -> Vec<Curve> {
    with_mean(series, index, |series, half_life| {
        series.map(f64::ln).smoothed(half_life).map(f64::exp)
    })
}

fn with_mean(series: &Series, index: usize, mean: fn(&Series, f64) -> Series) -> Vec<Curve> {
    if series.len() < SMOOTHED_FROM {
        return marked(series, index);
    }
    let half_life = (series.len() as f64 * HALF_LIFE).max(1.0);
    vec![
        Curve { points: series.clone(), look: Look::new(index, Mark::Faint) },
        Curve { points: mean(series, half_life), look: Look::new(index, Mark::Line) },
    ]
}

/// A quantity measured now and then.
pub(super) fn marked(series: &Series, index: usize) -> Vec<Curve> {
    curve(series, index, Mark::Dots)
}

/// A quantity without noise.
pub(super) fn exact(series: &Series, index: usize) -> Vec<Curve> {
    curve(series, index, Mark::Line)
}

fn curve(series: &Series, index: usize, mark: Mark) -> Vec<Curve> {
    vec![Curve { points: series.clone(), look: Look::new(index, mark) }]
}

/// A chart over iterations with one curve, or one curve and its mean, for each run.
pub(super) fn over_iterations(
    runs: &[Run],
    (title, unit, scale): (&str, &str, Scale),
    draw: fn(&Series, usize) -> Vec<Curve>,
    series: impl Fn(&Run) -> Series,
) -> Chart {
    let drawn = runs.iter().map(series).enumerate();
    Chart {
        title: title.to_owned(),
        x: iterations(),
        y: AxisTitle { text: unit.to_owned(), scale },
        curves: drawn.flat_map(|(index, series)| draw(&series, index)).collect(),
        legend: legend(runs, draw),
        width: WIDE,
    }
}

pub(super) fn iterations() -> AxisTitle {
    AxisTitle { text: "iteration".to_owned(), scale: Scale::Whole }
}

/// The names of the runs; a single run needs none.
pub(super) fn legend(runs: &[Run], draw: fn(&Series, usize) -> Vec<Curve>) -> Vec<(Look, String)> {
    if runs.len() < 2 {
        return Vec::new();
    }
    // How a curve of several points is drawn last is how it looks.
    let any =
        Series { x: (0..SMOOTHED_FROM).map(|x| x as f64).collect(), y: vec![0.0; SMOOTHED_FROM] };
    let looks = runs.iter().enumerate();
    looks
        .filter_map(|(index, run)| {
            let look = draw(&any, index).pop()?.look;
            Some((look, run.summary.name.clone()))
        })
        .collect()
}
