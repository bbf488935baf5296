//! One measured quantity over the run.

/// Points ordered by `x`. A `y` that is no usable number is a gap.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Series {
    pub(super) x: Vec<f64>,
    pub(super) y: Vec<f64>,
}

/// Whether a number can be drawn: finite, and far enough from the largest `f64` that differences
/// and sums stay finite.
pub(super) fn usable(value: f64) -> bool {
    value.abs() < 1e100
}

impl Series {
    pub(super) fn push(&mut self, x: f64, y: f64) {
        self.x.push(x);
        self.y.push(y);
    }

    pub(super) fn len(&self) -> usize {
        self.x.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    pub(super) fn points(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> + '_ {
        self.x.iter().copied().zip(self.y.iter().copied())
    }

    /// The points that can be drawn.
    pub(super) fn drawable(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> + '_ {
        self.points().filter(|&(_, y)| usable(y))
    }

    /// How many of the values are no usable numbers.
    pub(super) fn gaps(&self) -> usize {
        self.len() - self.drawable().count()
    }

    /// Drops the points at `x` and after it.
    pub(super) fn forget_from(&mut self, x: f64) {
        let keep = self.x.partition_point(|&at| at < x);
        self.x.truncate(keep);
        self.y.truncate(keep);
    }

    /// The value measured exactly at `x`.
    pub(super) fn at(&self, x: f64) -> Option<f64> {
        let index = self.x.partition_point(|&at| at < x);
        (self.x.get(index) == Some(&x)).then(|| self.y[index])
    }

    /// The same values over another quantity, where both were measured.
    pub(super) fn against(&self, other: &Series) -> Series {
        let mut joined = Series::default();
        for (x, y) in self.points() {
            if let Some(x) = other.at(x).filter(|&x| usable(x)) {
                joined.push(x, y);
            }
        }
        joined
    }

    /// Point by point sum, where both were measured.
    pub(super) fn plus(&self, other: &Series) -> Series {
        let mut sum = Series::default();
        for (x, y) in self.points() {
            if let Some(add) = other.at(x) {
                sum.push(x, y + add);
            }
        }
        sum
    }

    /// The same points with other values.
    pub(super) fn map(&self, value: impl Fn(f64) -> f64) -> Series {
        Series { x: self.x.clone(), y: self.y.iter().map(|&y| value(y)).collect() }
    }

    /// Sum of everything up to each point; gaps count as nothing.
    pub(super) fn running_total(&self) -> Series {
        let mut total = 0.0;
        let mut out = Series::default();
        for (x, y) in self.points() {
            if usable(y) {
                total += y;
            }
            out.push(x, total);
        }
        out
    }

    /// The value below which the share `q` of the drawable values lies.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let mut values: Vec<f64> = self.drawable().map(|(_, y)| y).collect();
        if values.is_empty() {
            return None;
        }
        let index = (q * (values.len() - 1) as f64).round() as usize;
        let (_, value, _) = values.select_nth_unstable_by(index, f64::total_cmp);
        Some(*value)
    }

    /// A two-sided exponential mean with the given half-life in points.
    ///
    /// Being symmetric, it does not lag behind the data as a running mean does. Gaps stay gaps and
    /// weigh nothing.
    pub(super) fn smoothed(&self, half_life: f64) -> Series {
        let decay = 0.5_f64.powf(1.0 / half_life);
        let mut after = vec![(0.0, 0.0); self.len()];
        let mut mean = Decaying::default();
        for (index, &y) in self.y.iter().enumerate().rev() {
            mean.fade(decay);
            after[index] = (mean.sum, mean.weight);
            mean.add(y);
        }
        let mut mean = Decaying::default();
        let mut out = Series::default();
        for ((x, y), (sum, weight)) in self.points().zip(after) {
            mean.fade(decay);
            mean.add(y);
            let smooth = (mean.sum + sum) / (mean.weight + weight);
            out.push(x, if usable(y) { smooth } else { f64::NAN });
        }
        out
    }

    /// At most `2 * buckets` points with the same outline: the least and the greatest of each of
    /// `buckets` equal stretches of `x`, so that no spike is lost.
    pub(super) fn downsampled(&self, buckets: usize) -> Series {
        if self.len() <= 2 * buckets {
            return self.clone();
        }
        let (first, last) = (self.x[0], self.x[self.len() - 1]);
        let bucket_of = |x: f64| ((x - first) / (last - first) * buckets as f64) as usize;
        let mut out = Series::default();
        let mut start = 0;
        while start < self.len() {
            let bucket = bucket_of(self.x[start]).min(buckets - 1);
            let length =
                self.x[start..].partition_point(|&x| bucket_of(x).min(buckets - 1) <= bucket);
            self.push_extremes(start, start + length, &mut out);
            start += length;
        }
        out
    }

    fn push_extremes(&self, start: usize, end: usize, out: &mut Series) {
        let candidates = || (start..end).filter(|&index| usable(self.y[index]));
        let by_value = |a: &usize, b: &usize| self.y[*a].total_cmp(&self.y[*b]);
        let (Some(least), Some(greatest)) =
            (candidates().min_by(by_value), candidates().max_by(by_value))
        else {
            out.push(self.x[start], f64::NAN);
            return;
        };
        out.push(self.x[least.min(greatest)], self.y[least.min(greatest)]);
        if least != greatest {
            out.push(self.x[least.max(greatest)], self.y[least.max(greatest)]);
        }
    }
}

/// A weighted sum whose older terms fade.
#[derive(Default)]
struct Decaying {
    sum: f64,
    weight: f64,
}

impl Decaying {
    fn fade(&mut self, decay: f64) {
        self.sum *= decay;
        self.weight *= decay;
    }

    fn add(&mut self, value: f64) {
        if usable(value) {
            self.sum += value;
            self.weight += 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(y: &[f64]) -> Series {
        Series { x: (0..y.len()).map(|x| x as f64).collect(), y: y.to_vec() }
    }

    #[test]
    fn smoothing_is_symmetric_keeps_constants_and_gaps() {
        let mut impulse = vec![0.0; 41];
        impulse[20] = 1.0;
        let smooth = series(&impulse).smoothed(3.0);
        for offset in 1..=10 {
            let (left, right) = (smooth.y[20 - offset], smooth.y[20 + offset]);
            assert!((left - right).abs() < 1e-4, "{left} {right}");
        }
        // One half-life away the weight is half.
        assert!((smooth.y[23] / smooth.y[20] - 0.5).abs() < 1e-2);

        let smooth = series(&[2.0, 2.0, f64::NAN, 2.0, f64::INFINITY]).smoothed(2.0);
        assert_eq!(smooth.y[..2], [2.0, 2.0]);
        assert!(smooth.y[2].is_nan() && smooth.y[4].is_nan());
        assert_eq!(smooth.y[3], 2.0);
    }

    #[test]
    fn downsampling_keeps_spikes_order_and_ends() {
        let mut y: Vec<f64> = (0..100_000).map(|i| f64::from(i % 7)).collect();
        y[12_345] = 1000.0;
        y[80_001] = -1000.0;
        y[50_000..52_000].fill(f64::NAN);
        let small = series(&y).downsampled(300);
        assert!(small.len() <= 600 && small.len() > 500, "{}", small.len());
        assert!(small.x.is_sorted());
        assert_eq!(small.at(12_345.0), Some(1000.0));
        assert_eq!(small.at(80_001.0), Some(-1000.0));
        assert!(small.y.iter().any(|y| y.is_nan()));
        assert!(small.x[0] < 400.0 && small.x[small.len() - 1] > 99_600.0);
        let short = series(&[1.0, f64::NAN]);
        assert_eq!(short.downsampled(300).len(), 2);
    }

    #[test]
    fn quantiles_ignore_gaps() {
        let values = series(&[5.0, f64::NAN, 1.0, 3.0, f64::INFINITY, 4.0, 2.0]);
        assert_eq!(values.quantile(0.5), Some(3.0));
        assert_eq!(values.quantile(0.0), Some(1.0));
        assert_eq!(values.quantile(1.0), Some(5.0));
        assert_eq!(series(&[f64::NAN]).quantile(0.5), None);
    }

    #[test]
    fn joining_and_forgetting() {
        let tokens = Series { x: vec![0.0, 1.0, 2.0, 3.0], y: vec![10.0, 20.0, 30.0, 40.0] };
        let mut bound = Series { x: vec![1.0, 3.0, 9.0], y: vec![5.0, 4.0, 3.0] };
        let joined = bound.against(&tokens);
        assert_eq!((joined.x, joined.y), (vec![20.0, 40.0], vec![5.0, 4.0]));
        assert_eq!(bound.plus(&tokens).y, [25.0, 44.0]);
        assert_eq!(tokens.running_total().y, [10.0, 30.0, 60.0, 100.0]);
        bound.forget_from(3.0);
        assert_eq!(bound.x, [1.0]);
    }
}
