//! The inference of the latents, step by step, at some iterations of a run.

use super::series::Series;

/// How many curves are kept for one run; the rest are thinned out evenly.
const KEPT: usize = 256;

/// nll and kl over the fast steps of one iteration.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FastCurve {
    pub(super) iteration: u64,
    pub(super) nll: Series,
    pub(super) kl: Series,
    pub(super) bound: Series,
}

impl FastCurve {
    pub(super) fn new(iteration: u64, nll: &[f64], kl: &[f64]) -> Self {
        let over_steps = |values: &[f64]| {
            let mut series = Series::default();
            for (index, &value) in values.iter().enumerate() {
                series.push((index + 1) as f64, value);
            }
            series
        };
        let (nll, kl) = (over_steps(nll), over_steps(kl));
        Self { iteration, bound: nll.plus(&kl), nll, kl }
    }
}

/// Curves of a run, in bounded memory however long it is: training writes one each iteration.
#[derive(Debug)]
pub(super) struct FastCurves {
    kept: Vec<FastCurve>,
    last: Option<FastCurve>,
    stride: usize,
    seen: usize,
}

impl Default for FastCurves {
    fn default() -> Self {
        Self { kept: Vec::new(), last: None, stride: 1, seen: 0 }
    }
}

impl FastCurves {
    pub(super) fn push(&mut self, curve: FastCurve) {
        if self.seen.is_multiple_of(self.stride) {
            self.kept.push(curve.clone());
        }
        self.last = Some(curve);
        self.seen += 1;
        if self.kept.len() > KEPT {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
        }
    }

    /// Drops the curves of `iteration` and later ones.
    pub(super) fn forget_from(&mut self, iteration: u64) {
        self.kept.retain(|curve| curve.iteration < iteration);
        self.seen = self.kept.len() * self.stride;
        if self.last.as_ref().is_some_and(|last| last.iteration >= iteration) {
            self.last = self.kept.last().cloned();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// The first, the middle and the last curve, as far as they are different ones.
    pub(super) fn stages(&self) -> Vec<(Stage, &FastCurve)> {
        let (Some(first), Some(last)) = (self.kept.first(), &self.last) else {
            return Vec::new();
        };
        let half = first.iteration + (last.iteration - first.iteration) / 2;
        let middle = self
            .kept
            .iter()
            .filter(|curve| (first.iteration + 1..last.iteration).contains(&curve.iteration))
            .min_by_key(|curve| curve.iteration.abs_diff(half));
        let mut stages = vec![(Stage::Last, last)];
        stages.extend(middle.map(|curve| (Stage::Middle, curve)));
        if first.iteration < last.iteration {
            stages.push((Stage::First, first));
        }
        stages.reverse();
        stages
    }
}

/// When in the run a curve was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    First,
    Middle,
    Last,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(iterations: impl IntoIterator<Item = u64>) -> FastCurves {
        let mut curves = FastCurves::default();
        for iteration in iterations {
            curves.push(FastCurve::new(iteration, &[3.0, 2.0], &[0.5, 0.25]));
        }
        curves
    }

    fn stages(curves: &FastCurves) -> Vec<u64> {
        curves.stages().iter().map(|(_, c)| c.iteration).collect()
    }

    #[test]
    fn first_middle_and_last_are_found_in_short_and_long_runs() {
        assert_eq!(stages(&curves([])), [0; 0]);
        assert_eq!(stages(&curves([7])), [7]);
        assert_eq!(stages(&curves([7, 9])), [7, 9]);
        assert_eq!(stages(&curves([0, 10, 20])), [0, 10, 20]);
        let long = curves(0..100_001);
        assert!(long.kept.len() <= KEPT);
        let [first, middle, last] = stages(&long)[..] else { panic!() };
        assert_eq!((first, last), (0, 100_000));
        assert!(middle.abs_diff(50_000) < 500, "{middle}");
    }

    #[test]
    fn a_restart_forgets_what_it_repeats() {
        let mut curves = curves([0, 10, 20, 30]);
        curves.forget_from(15);
        assert_eq!(stages(&curves), [0, 10]);
        curves.forget_from(0);
        assert!(curves.is_empty());
    }

    #[test]
    fn the_bound_is_the_sum_of_its_parts() {
        let curve = FastCurve::new(0, &[3.0, 2.0], &[0.5]);
        assert_eq!((curve.bound.x, curve.bound.y), (vec![1.0], vec![3.5]));
    }
}
