//! Charts of the bound over the fast steps.

use super::axis::Scale;
use super::chart::{AxisTitle, Chart, Curve};
use super::curves::{self, NARROW};
use super::fast::{FastCurve, FastCurves, Stage};
use super::look::{Dash, Look, Mark};
use super::number;
use super::run::Run;
use super::series::Series;

/// Charts of the bound, the nll and the kl, and where their curves come from.
pub(super) struct FastCharts {
    /// `validation` or `training`.
    pub(super) source: &'static str,
    pub(super) charts: Vec<Chart>,
}

/// The charts; none where no run recorded its fast steps.
pub(super) fn fast_charts(runs: &[Run]) -> Option<FastCharts> {
    // Training batches stand in where no run was validated.
    let recorded = |pick: fn(&Run) -> &FastCurves| runs.iter().any(|run| !pick(run).is_empty());
    let validation: fn(&Run) -> &FastCurves = |run| &run.metrics.val_fast;
    let training: fn(&Run) -> &FastCurves = |run| &run.metrics.train_fast;
    let (source, pick) = if recorded(validation) {
        ("validation", validation)
    } else if recorded(training) {
        ("training", training)
    } else {
        return None;
    };
    let legend = legend(runs, pick);
    let chart = |title: &str, scale: Scale, part: fn(&FastCurve) -> &Series| Chart {
        title: title.to_owned(),
        x: AxisTitle { text: "fast step".to_owned(), scale: Scale::Whole },
        y: AxisTitle { text: "nats per token".to_owned(), scale },
        curves: curves(runs, pick, part),
        legend: legend.clone(),
        width: NARROW,
    };
    let mut charts = vec![
        chart("Bound over the fast steps", Scale::Linear, |fast| &fast.bound),
        chart("Its cross-entropy (nll)", Scale::Linear, |fast| &fast.nll),
        chart("Its KL divergence", Scale::FromZero, |fast| &fast.kl),
    ];
    charts.retain(|chart| !chart.is_empty());
    Some(FastCharts { source, charts })
}

fn dash(stage: Stage) -> Dash {
    match stage {
        Stage::First => Dash::Dotted,
        Stage::Middle => Dash::Dashed,
        Stage::Last => Dash::Solid,
    }
}

fn look(run: usize, stage: Stage) -> Look {
    Look { dash: dash(stage), ..Look::new(run, Mark::Dots) }
}

fn curves(
    runs: &[Run],
    pick: fn(&Run) -> &FastCurves,
    part: fn(&FastCurve) -> &Series,
) -> Vec<Curve> {
    let mut curves = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        for (stage, fast) in pick(run).stages() {
            curves.push(Curve { points: part(fast).clone(), look: look(index, stage) });
        }
    }
    curves
}

/// One run: its iterations. Several: a colour for each run, a dash for each stage.
fn legend(runs: &[Run], pick: fn(&Run) -> &FastCurves) -> Vec<(Look, String)> {
    if let [run] = runs {
        let stages = pick(run).stages().into_iter();
        return stages
            .map(|(stage, fast)| {
                let name = format!("iteration {}", number::count(fast.iteration));
                (look(0, stage), name)
            })
            .collect();
    }
    let mut legend = curves::legend(runs, curves::exact);
    for (look, _) in &mut legend {
        look.dash = Dash::Solid;
    }
    for (stage, name) in [(Stage::First, "first"), (Stage::Middle, "middle"), (Stage::Last, "last")]
    {
        let plain = Look { dash: dash(stage), ..Look::neutral() };
        legend.push((plain, name.to_owned()));
    }
    legend
}
