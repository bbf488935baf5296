//! Errors, allowances, and the verdict.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Result;
use super::fixture::Fixture;

/// Allowed multiple of the float32 floor.
const ALLOWANCE: f64 = 10.0;

/// What is allowed for a floor and the rounding of the quantity to f32. Where the floor is zero
/// nothing is; else no number can be asked to be nearer than its own rounding, to which PyTorch's
/// run may have come by luck.
fn allowance(floor: f64, rounding: f64) -> f64 {
    if floor > 0.0 { (ALLOWANCE * floor).max(rounding) } else { 0.0 }
}

/// Half the distance of neighbouring f32 numbers at `x`.
fn half_ulp(x: f64) -> f64 {
    let below = x.abs().min(f64::from(f32::MAX)) as f32;
    let below = f32::from_bits(below.to_bits() & 0xff80_0000).max(f32::MIN_POSITIVE);
    f64::from(below) * f64::from(f32::EPSILON) / 2.0
}

/// A quantity, or a family of weight-shaped quantities.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Key of the fixture; `.weight.*` stands for all weights.
    pub key: String,
    /// Largest distance from the stored values.
    pub error: f64,
    /// What is allowed.
    pub allowed: f64,
    /// How the distance is measured.
    pub measure: &'static str,
    /// Whether the distance is within the allowance.
    pub passed: bool,
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct ParityReport {
    /// Device that computed.
    pub device: String,
    /// Every quantity, in the order of the computation.
    pub checks: Vec<Check>,
    /// Results of the fixture that nothing was compared with.
    pub uncovered: Vec<String>,
}

impl ParityReport {
    /// Whether everything was compared and is within its allowance.
    pub fn passed(&self) -> bool {
        self.uncovered.is_empty() && self.checks.iter().all(|check| check.passed)
    }
}

/// Collects comparisons.
pub(super) struct Checker<'a> {
    /// What is compared with.
    pub(super) fixture: &'a Fixture,
    checks: Vec<Check>,
    index: BTreeMap<String, usize>,
    covered: std::collections::BTreeSet<String>,
}

/// Weight-shaped families are one quantity.
fn group(key: &str) -> String {
    match key.split_once(".weight.") {
        Some((family, _)) => format!("{family}.weight.*"),
        None => key.to_owned(),
    }
}

impl<'a> Checker<'a> {
    pub(super) fn new(fixture: &'a Fixture) -> Self {
        Self { fixture, checks: Vec::new(), index: BTreeMap::new(), covered: Default::default() }
    }

    /// Compares a result with the stored one.
    pub(super) fn compare<T: Copy + Into<f64>>(&mut self, key: &str, values: &[T]) -> Result<()> {
        let stored = self.fixture.doubles(key)?;
        if stored.len() != values.len() {
            let detail = format!("{key} has {} values, computed {}", stored.len(), values.len());
            return Err(self.fixture.malformed(detail));
        }
        // The perplexity is an exponential: its logarithm is compared.
        let logarithmic = key.ends_with(".ppl");
        let distance = |(&x, &s): (&T, &f64)| {
            let (x, s) = if logarithmic { (x.into().ln(), s.ln()) } else { (x.into(), s) };
            // A NaN must fail, and `max` would drop it.
            if (x - s).is_nan() { f64::INFINITY } else { (x - s).abs() }
        };
        let distances: Vec<f64> = values.iter().zip(&stored).map(distance).collect();
        let error = distances.iter().copied().fold(0.0, f64::max);
        let family = group(key);
        let floor = |field: &str| self.fixture.number(&["float32_floor", &family, field]);
        let largest = stored.iter().map(|s| s.abs()).fold(0.0, f64::max);
        let (allowed, measure) = match logarithmic {
            true => {
                let floor = floor("worst_err_over_tensor_max")?;
                (allowance(floor, half_ulp(largest) / largest), "log")
            }
            false => (allowance(floor("max_abs_err")?, half_ulp(largest)), "abs"),
        };
        self.covered.insert(key.to_owned());
        self.record(&family, error, allowed, measure);
        // Adam's first step is nearly a sign: elements whose gradient is at rounding level
        // jump, so their number is judged besides their size.
        if let Ok(count) = floor("elements_off_by_over_1e-6") {
            let off = distances.iter().filter(|&&d| d > 1e-6).count() as f64;
            self.add(&format!("{family} off by > 1e-6"), off, ALLOWANCE * count.max(1.0));
        }
        Ok(())
    }

    /// Records a comparison that no tensor of the fixture holds.
    pub(super) fn record(&mut self, key: &str, error: f64, allowed: f64, measure: &'static str) {
        let index = self.entry(key, allowed, measure);
        let check = &mut self.checks[index];
        check.error = check.error.max(error);
        // The largest number of a family may stand in any of its tensors.
        check.allowed = check.allowed.max(allowed);
        check.passed = check.error <= check.allowed;
    }

    /// Adds to a count over all tensors of a family.
    fn add(&mut self, key: &str, count: f64, allowed: f64) {
        let index = self.entry(key, allowed, "count");
        let check = &mut self.checks[index];
        check.error += count;
        check.passed = check.error <= check.allowed;
    }

    fn entry(&mut self, key: &str, allowed: f64, measure: &'static str) -> usize {
        let checks = &mut self.checks;
        *self.index.entry(key.to_owned()).or_insert_with(|| {
            let key = key.to_owned();
            checks.push(Check { key, error: 0.0, allowed, measure, passed: true });
            checks.len() - 1
        })
    }

    /// The verdict. Everything in the fixture that is no input must have been compared.
    pub(super) fn finish(self, device: String) -> ParityReport {
        let is_input = |key: &str| {
            key.starts_with("in.") || key.contains(".in.") || key.starts_with("short.t")
        };
        let is_result = |key: &&String| !is_input(key) || *key == "short.token_nll";
        let uncovered = self
            .fixture
            .keys()
            .iter()
            .filter(is_result)
            .filter(|key| !self.covered.contains(*key))
            .cloned()
            .collect();
        ParityReport { device, checks: self.checks, uncovered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_ulp_is_the_distance_to_the_middle_of_neighbours() {
        for x in [1.0f32, 1.5, 1.999_999_9, 2.0, 2.2e-4, 1e-30, f32::MIN_POSITIVE, f32::MAX] {
            let next =
                f32::from_bits(x.to_bits() - 1 + u32::from(x.to_bits() & 0x7f_ffff == 0) * 2);
            let distance = (f64::from(next) - f64::from(x)).abs() / 2.0;
            assert_eq!(half_ulp(f64::from(x)), distance, "{x}");
            assert_eq!(half_ulp(-f64::from(x)), distance, "-{x}");
        }
        assert!(half_ulp(0.0) < 1e-44);
    }

    #[test]
    fn no_number_is_asked_to_be_nearer_than_its_rounding() {
        // The factor of a clip, where a floor of 3.6e-13 is a rounding that came out well.
        let factor = 4.61e-4;
        assert_eq!(allowance(3.62e-13, half_ulp(factor)), half_ulp(factor));
        assert!(half_ulp(factor) < 1.5e-11 && half_ulp(factor) > 1.4e-11);
        // A floor above the rounding counts ten times, and one of zero forbids any distance.
        assert_eq!(allowance(1e-9, half_ulp(factor)), ALLOWANCE * 1e-9);
        assert_eq!(allowance(0.0, half_ulp(factor)), 0.0);
    }
}
