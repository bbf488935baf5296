//! Axes: what range is drawn, where the ticks are, and where a value falls.

use super::series::usable;
use super::ticks::{Tick, even_ticks, log_ticks};

/// How values are spread over an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Evenly, over the values alone.
    Linear,
    /// Evenly, from zero.
    FromZero,
    /// Evenly, with ticks on whole numbers and no margin.
    Whole,
    /// By powers of ten; values that are not positive have no place.
    Log,
    /// By powers of ten where the values span more than a factor of thirty, evenly otherwise.
    LogIfWide,
}

/// A laid out axis.
#[derive(Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    pub(super) ticks: Vec<Tick>,
}

impl Axis {
    /// An axis for `values`, with about `wanted` ticks. Values that cannot be drawn are ignored.
    pub(super) fn new(values: impl Iterator<Item = f64>, scale: Scale, wanted: usize) -> Self {
        let values: Vec<f64> = values.filter(|&value| usable(value)).collect();
        let positive = || values.iter().copied().filter(|&value| value > 0.0);
        let log = match scale {
            Scale::Log => true,
            Scale::LogIfWide => {
                positive().count() == values.len()
                    && extent(positive()).is_some_and(|(low, high)| high / low > 30.0)
            }
            _ => false,
        };
        let seen =
            if log { extent(positive().map(f64::log10)) } else { extent(values.iter().copied()) };
        let (mut low, mut high) = seen.unwrap_or((0.0, 1.0));
        if scale == Scale::FromZero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        (low, high) = widened(low, high, log, scale);
        let ticks = if log {
            log_ticks(low, high, wanted)
        } else {
            even_ticks(low, high, wanted, scale == Scale::Whole)
                .into_iter()
                .map(|(value, label)| Tick { at: (value - low) / (high - low), label })
                .collect()
        };
        Self { low, high, log, ticks }
    }

    /// Where `value` falls, as a share of the axis; `None` where it has no place at all. Values
    /// beyond the ends fall outside 0 to 1.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        if !usable(value) || (self.log && value <= 0.0) {
            return None;
        }
        let value = if self.log { value.log10() } else { value };
        Some((value - self.low) / (self.high - self.low))
    }

    /// Whether the axis goes by powers of ten.
    pub(super) fn is_log(&self) -> bool {
        self.log
    }
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |seen, value| {
        let (low, high) = seen.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// Gives a range some air, and a width where all values are the same.
fn widened(low: f64, high: f64, log: bool, scale: Scale) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    // A width that vanishes beside the values would put every tick on the same label.
    if high - low <= size * 1e-9 {
        let by = match (log, scale) {
            (true, _) => 0.5,
            (false, Scale::Whole) => 1.0,
            _ if size > 0.0 => size * 0.1,
            _ => 1.0,
        };
        return match scale {
            Scale::FromZero => (0.0, by),
            _ => (low - by, high + by),
        };
    }
    let margin = (high - low) * 0.04;
    match scale {
        Scale::Whole => (low, high),
        Scale::FromZero if low >= 0.0 => (low, high + margin),
        _ => (low - margin, high + margin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], scale: Scale) -> Vec<String> {
        let axis = Axis::new(values.iter().copied(), scale, 5);
        for tick in &axis.ticks {
            assert!((-1e-6..=1.000_001).contains(&tick.at), "{values:?} {tick:?}");
        }
        assert!(
            axis.ticks
                .windows(2)
                .all(|pair| { pair[0].at < pair[1].at && pair[0].label != pair[1].label })
        );
        axis.ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            labels(&[0.0, 600.0], Scale::Whole),
            ["0", "100", "200", "300", "400", "500", "600"]
        );
        assert_eq!(labels(&[0.0, 2.0], Scale::Whole), ["0", "1", "2"]);
        assert_eq!(
            labels(&[2.31, 5.6], Scale::Linear),
            ["2.5", "3.0", "3.5", "4.0", "4.5", "5.0", "5.5"]
        );
        assert_eq!(labels(&[0.0, 4e-4], Scale::FromZero), ["0", "1e-4", "2e-4", "3e-4", "4e-4"]);
        assert_eq!(
            labels(&[900.0, 5000.0], Scale::FromZero),
            ["0", "1000", "2000", "3000", "4000", "5000"]
        );
        assert_eq!(labels(&[0.5, 20_000.0], Scale::Log), ["1", "10", "100", "1000", "10k"]);
        assert_eq!(labels(&[20.0, 90.0], Scale::Log), ["20", "50"]);
        assert_eq!(labels(&[0.001, 1.0], Scale::LogIfWide), ["0.001", "0.01", "0.1", "1"]);
        assert_eq!(labels(&[5e-5, 0.5], Scale::Log), ["1e-4", "1e-3", "1e-2", "0.1"]);
        assert_eq!(labels(&[0.8, 1.0], Scale::LogIfWide).len(), 5);
    }

    #[test]
    fn degenerate_ranges_still_have_an_axis() {
        let nan = f64::NAN;
        for scale in [Scale::Linear, Scale::FromZero, Scale::Whole, Scale::Log, Scale::LogIfWide] {
            for values in [
                &[][..],
                &[nan],
                &[0.0],
                &[-5.0],
                &[3.0, 3.0],
                &[1e16, 1e16 + 4.0],
                &[-3.4e38, 3.4e38],
                &[1e-40, 1e90],
                &[1e-300, 1e-299],
                &[f64::INFINITY, 1.0, 1.01],
                &[0.0, 1e-300],
            ] {
                let axis = Axis::new(values.iter().copied(), scale, 5);
                assert!(axis.ticks.len() <= 20, "{values:?} {scale:?} {}", axis.ticks.len());
                for &value in values {
                    let at = axis.place(value);
                    assert!(
                        at.is_none_or(|at| (-1e-9..=1.0 + 1e-9).contains(&at)),
                        "{values:?} {scale:?} {at:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn values_without_a_place() {
        let axis = Axis::new([1.0, 1000.0].into_iter(), Scale::Log, 5);
        assert_eq!(axis.place(0.0), None);
        assert_eq!(axis.place(f64::NAN), None);
        assert!(axis.place(1e9).unwrap() > 1.0);
    }
}
