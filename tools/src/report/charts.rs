//! Which charts a report has.

use super::axis::Scale;
use super::chart::{AxisTitle, Chart};
use super::curves::{self, WIDE, exact, marked, noisy, noisy_log, over_iterations};
use super::look::{Look, Mark};
use super::metrics::Quantity;
use super::run::Run;
use super::series::Series;

const NATS: &str = "nats per token";

/// The objective and its parts.
pub(super) fn objective(runs: &[Run]) -> Vec<Chart> {
    let parts = [
        ("Bound (nll + kl)", Quantity::Bound, Quantity::ValBound, Scale::Linear),
        ("Cross-entropy (nll)", Quantity::Nll, Quantity::ValNll, Scale::Linear),
        ("KL divergence from the prior", Quantity::Kl, Quantity::ValKl, Scale::FromZero),
    ];
    let mut charts = Vec::new();
    for (title, train, validation, scale) in parts {
        if let [run] = runs {
            charts.push(train_and_validation(run, title, train, validation, scale));
            continue;
        }
        // With several runs the two kinds of curves would hide each other.
        let titled = |kind: &str| format!("{title}, {kind}");
        charts.push(over_iterations(runs, (&titled("training"), NATS, scale), noisy, |run| {
            run.metrics.series(train).clone()
        }));
        charts.push(over_iterations(runs, (&titled("validation"), NATS, scale), marked, |run| {
            run.metrics.series(validation).clone()
        }));
    }
    if runs.iter().any(loss_stands_apart) {
        charts.push(over_iterations(runs, ("Training loss", NATS, Scale::Linear), noisy, |run| {
            run.metrics.series(Quantity::Loss).clone()
        }));
    }
    drawn(charts)
}

fn train_and_validation(
    run: &Run,
    title: &str,
    train: Quantity,
    validation: Quantity,
    scale: Scale,
) -> Chart {
    let (train, validation) = (run.metrics.series(train), run.metrics.series(validation));
    let mut curves = noisy(train, 0);
    let mut legend = Vec::new();
    if let Some(mean) = curves.last().filter(|_| !train.is_empty()) {
        legend.push((mean.look, "training".to_owned()));
    }
    curves.extend(marked(validation, 1));
    if !validation.is_empty() {
        legend.push((Look::new(1, Mark::Dots), "validation".to_owned()));
    }
    Chart {
        title: title.to_owned(),
        x: curves::iterations(),
        y: AxisTitle { text: NATS.to_owned(), scale },
        curves,
        legend,
        width: WIDE,
    }
}

/// Whether the training loss is anything but the nll, which it is by default.
fn loss_stands_apart(run: &Run) -> bool {
    let nll = run.metrics.series(Quantity::Nll);
    let loss = run.metrics.series(Quantity::Loss);
    loss.drawable()
        .any(|(x, loss)| nll.at(x).is_some_and(|nll| (loss - nll).abs() > 1e-4 * loss.abs()))
}

/// The validation bound against what it cost; only runs side by side say anything here.
pub(super) fn cost(runs: &[Run]) -> Vec<Chart> {
    if runs.len() < 2 {
        return Vec::new();
    }
    let longest = runs.iter().filter_map(|run| run.summary.seconds).fold(0.0, f64::max);
    let (unit, seconds) = match longest {
        t if t >= 2.0 * 3600.0 => ("hours", 3600.0),
        t if t >= 120.0 => ("minutes", 60.0),
        _ => ("seconds", 1.0),
    };
    let bound = |run: &Run| run.metrics.series(Quantity::ValBound).clone();
    let against = |title: &str, x: String, cost: &dyn Fn(&Run) -> Series| {
        let mut chart = over_iterations(runs, (title, NATS, Scale::Linear), marked, |run| {
            bound(run).against(&cost(run))
        });
        chart.x = AxisTitle { text: x, scale: Scale::FromZero };
        chart
    };
    drawn(vec![
        against("Validation bound over training tokens", "tokens".to_owned(), &|run| {
            run.metrics.series(Quantity::Tokens).clone()
        }),
        against("Validation bound over training time", format!("training time ({unit})"), &|run| {
            run.timing.seconds.running_total().map(|time| time / seconds)
        }),
    ])
}

/// The optimiser of the weights.
pub(super) fn optimiser(runs: &[Run]) -> Vec<Chart> {
    let quantity = |quantity| move |run: &Run| run.metrics.series(quantity).clone();
    drawn(vec![
        over_iterations(
            runs,
            ("Learning rate of the weights (slow)", "learning rate", Scale::FromZero),
            exact,
            quantity(Quantity::SlowLr),
        ),
        over_iterations(
            runs,
            ("Learning rate of the posterior (fast)", "learning rate", Scale::FromZero),
            exact,
            quantity(Quantity::FastLr),
        ),
        over_iterations(
            runs,
            ("Gradient norm before clipping", "norm", Scale::Log),
            noisy_log,
            quantity(Quantity::GradNorm),
        ),
        over_iterations(
            runs,
            ("Clip factor (1: not clipped)", "factor", Scale::LogIfWide),
            noisy_log,
            quantity(Quantity::ClipFactor),
        ),
    ])
}

/// Speed and memory.
pub(super) fn resources(runs: &[Run]) -> Vec<Chart> {
    drawn(vec![
        over_iterations(runs, ("Throughput", "tokens per second", Scale::FromZero), noisy, |run| {
            run.timing.tokens_per_second.clone()
        }),
        over_iterations(runs, ("Resident memory", "MiB", Scale::FromZero), exact, |run| {
            run.timing.rss_bytes.map(|bytes| bytes / (1024.0 * 1024.0))
        }),
    ])
}

fn drawn(mut charts: Vec<Chart>) -> Vec<Chart> {
    charts.retain(|chart| !chart.is_empty());
    charts
}
