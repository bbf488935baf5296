//! Where an axis has ticks, and what they say.

use super::number::Labels;

/// A label and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// Share of the axis from its start.
    pub(super) at: f64,
    pub(super) label: String,
}

/// The largest of 1, 2 or 5 times a power of ten that gives at least about `wanted` steps.
fn step_for(width: f64, wanted: usize) -> f64 {
    let rough = width / wanted as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = match rough / power {
        ratio if ratio < 1.5 => 1.0,
        ratio if ratio < 3.5 => 2.0,
        ratio if ratio < 7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// Round values between `low` and `high` with their labels.
pub(super) fn even_ticks(low: f64, high: f64, wanted: usize, whole: bool) -> Vec<(f64, String)> {
    let mut step = step_for(high - low, wanted);
    if whole {
        step = step.max(1.0);
    }
    let labels = Labels::new(low.abs().max(high.abs()), step);
    let first = (low / step - 1e-9).ceil();
    let count = ((high / step + 1e-9).floor() - first) as usize;
    (0..=count)
        .map(|index| {
            let value = (first + index as f64) * step;
            (value, labels.label(value))
        })
        .collect()
}

/// Ticks between `10^low` and `10^high`: decades, or 1-2-5 within them, or even steps where not
/// even two of those fall into the range.
pub(super) fn log_ticks(low: f64, high: f64, wanted: usize) -> Vec<Tick> {
    let place = |value: f64| (value.log10() - low) / (high - low);
    let (first, last) = (low.floor() as i32, high.floor() as i32);
    let factors: &[f64] = if high - low > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let stride = (last - first + wanted as i32) / (wanted as i32 + 1);
    let ticks: Vec<Tick> = (first..=last)
        .filter(|decade| decade % stride.max(1) == 0)
        .flat_map(|decade| factors.iter().map(move |factor| (decade, factor)))
        .map(|(decade, factor)| Tick {
            at: place(factor * 10f64.powi(decade)),
            label: power_label(*factor, decade, low),
        })
        .filter(|tick| (0.0..=1.0).contains(&tick.at))
        .collect();
    if ticks.len() >= 2 {
        return ticks;
    }
    even_ticks(10f64.powf(low), 10f64.powf(high), wanted, false)
        .into_iter()
        .filter(|(value, _)| *value > 0.0)
        .map(|(value, label)| Tick { at: place(value), label })
        .collect()
}

/// An axis that reaches below a thousandth writes all its small values alike.
fn power_label(factor: f64, decade: i32, low: f64) -> String {
    let plain_from = if low <= -3.3 { -1 } else { -3 };
    if (plain_from..=12).contains(&decade) {
        let unit = 10f64.powi(decade);
        Labels::new(factor * unit, unit).label(factor * unit)
    } else {
        format!("{factor}e{decade}")
    }
}
