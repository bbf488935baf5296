//! Numbers as people read them.

/// A true minus sign is as wide as a digit, a hyphen is not.
fn signed(negative: bool, digits: &str) -> String {
    if negative { format!("\u{2212}{digits}") } else { digits.to_owned() }
}

/// How the labels of one axis are written, chosen from its range and step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels {
    divisor: f64,
    decimals: usize,
    suffix: Suffix,
}

#[derive(Debug, Clone, Copy)]
enum Suffix {
    Unit(&'static str),
    Exponent(i32),
}

impl Labels {
    /// Labels that tell values `step` apart where the largest magnitude is `largest`.
    pub(super) fn new(largest: f64, step: f64) -> Self {
        let (divisor, suffix) = match largest {
            m if !(1e-3..1e15).contains(&m) && m > 0.0 => {
                let exponent = m.log10().floor() as i32;
                (10f64.powi(exponent), Suffix::Exponent(exponent))
            }
            m if m >= 1e12 => (1e12, Suffix::Unit("T")),
            m if m >= 1e9 => (1e9, Suffix::Unit("G")),
            m if m >= 1e6 => (1e6, Suffix::Unit("M")),
            m if m >= 1e4 => (1e3, Suffix::Unit("k")),
            _ => (1.0, Suffix::Unit("")),
        };
        // The margin keeps 0.1 from counting as a hair below it.
        let decimals = -((step / divisor).log10() + 1e-9).floor();
        Self { divisor, decimals: decimals.clamp(0.0, 9.0) as usize, suffix }
    }

    /// One label.
    pub(super) fn label(self, value: f64) -> String {
        let digits = format!("{:.*}", self.decimals, (value / self.divisor).abs());
        if digits.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
            return "0".to_owned();
        }
        let digits = match self.suffix {
            Suffix::Unit(unit) => format!("{digits}{unit}"),
            Suffix::Exponent(exponent) => format!("{digits}e{exponent}"),
        };
        signed(value < 0.0, &digits)
    }
}

/// A value on its own, to four significant digits.
pub(super) fn value(value: f64) -> String {
    if !value.is_finite() {
        return "not finite".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    Labels::new(value.abs(), 10f64.powf(magnitude - 3.0)).label(value)
}

/// A place on a horizontal axis: whole where it is an iteration, a step or a count of tokens.
pub(super) fn position(value: f64) -> String {
    if value.fract() == 0.0 && (0.0..1e15).contains(&value) {
        count(value as u64)
    } else {
        self::value(value)
    }
}

/// A loss in nats per token: always three decimals, so that columns compare.
pub(super) fn nats(value: f64) -> String {
    if value.abs() < 1e6 {
        signed(value < 0.0, &format!("{:.3}", value.abs()))
    } else {
        self::value(value)
    }
}

/// A whole number with its digits in groups of three.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size in memory.
pub(super) fn bytes(value: f64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    if value >= 1024.0 * MIB {
        format!("{:.2} GiB", value / (1024.0 * MIB))
    } else {
        format!("{:.1} MiB", value / MIB)
    }
}

/// A length of time.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    if hours == 0 {
        format!("{minutes} min {:02} s", seconds % 60)
    } else {
        format!("{} h {:02} min", count(hours), minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_suit_their_axis() {
        let cases = [
            (5.0, 0.5, 2.5, "2.5"),
            (5.0, 0.5, 0.0, "0"),
            (5.0, 1.0, -3.0, "\u{2212}3"),
            (0.4, 0.1, 0.30000000000000004, "0.3"),
            (4e-4, 1e-4, 3e-4, "3e-4"),
            (4e-4, 5e-5, 3.5e-4, "3.5e-4"),
            (9000.0, 1000.0, 8000.0, "8000"),
            (120_000.0, 20_000.0, 40_000.0, "40k"),
            (2.5e6, 5e5, 1.5e6, "1.5M"),
            (3e38, 1e38, 2e38, "2e38"),
        ];
        for (largest, step, value, label) in cases {
            assert_eq!(Labels::new(largest, step).label(value), label);
        }
    }

    #[test]
    fn single_values() {
        assert_eq!(value(812.34), "812.3");
        assert_eq!(value(0.0012), "0.001200");
        assert_eq!(value(4e-4), "4.000e-4");
        assert_eq!(value(123_456.0), "123.5k");
        assert_eq!(value(f64::NAN), "not finite");
        assert_eq!(position(1600.0), "1,600");
        assert_eq!(position(0.25), "0.2500");
        assert_eq!(nats(-2.7312), "\u{2212}2.731");
        assert_eq!(nats(f64::INFINITY), "not finite");
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(3.5 * 1024.0 * 1024.0), "3.5 MiB");
        assert_eq!(bytes(1e10), "9.31 GiB");
        assert_eq!(duration(12.34), "12.3 s");
        assert_eq!(duration(59.99), "1 min 00 s");
        assert_eq!(duration(7384.0), "2 h 03 min");
    }
}
