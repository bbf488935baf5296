//! Learning rates over a run, and which fast steps of an iteration teach the weights.

use std::f64::consts::PI;

use ltm_engine::philox::philox4x32_10;

use crate::config::{Config, FastConfig};
use crate::sites;

/// 1 at the start, 0 at the end.
fn cosine(fraction: f64) -> f64 {
    0.5 * (1.0 + (PI * fraction).cos())
}

/// Learning rate of fast step `step` (from 0) where the first step has `peak`.
pub fn fast_lr(config: &FastConfig, step: usize, peak: f64) -> f64 {
    let low = config.floor * peak;
    let span = config.schedule_steps();
    if step < span { low + cosine(step as f64 / span as f64) * (peak - low) } else { low }
}

/// Learning rate of the first fast step of an iteration; 0 where there is no fast step.
pub fn fast_peak(config: &Config, iteration: u64) -> f64 {
    let fast = &config.fast;
    if config.model.is_autoregressive() {
        return 0.0;
    }
    if !config.ramps() {
        return fast.lr;
    }
    let total = config.slow_total();
    // A run prolonged beyond its schedule stays where the ramp ended.
    let done = iteration.min(total) as f64 / total.saturating_sub(1).max(1) as f64;
    fast.ramp_from + (fast.ramp_to - fast.ramp_from) * done
}

/// Factor of the KL in iteration `iteration` (from 0): a linear rise that ends at
/// `posterior.kl_weight` in iteration `posterior.kl_warmup - 1`, and whose first step is above 0.
pub fn kl_weight(config: &Config, iteration: u64) -> f64 {
    let posterior = &config.posterior;
    let share = (iteration + 1) as f64 / posterior.kl_warmup.max(1) as f64;
    posterior.kl_weight * share.min(1.0)
}

/// Learning rate of the weights in iteration `iteration` (from 0).
pub fn slow_lr(config: &Config, iteration: u64) -> f64 {
    let slow = &config.slow;
    let total = config.slow_total();
    if iteration < slow.warmup {
        let step = iteration + u64::from(!config.starts_at_zero_lr());
        return slow.lr * step as f64 / slow.warmup as f64;
    }
    if iteration > total {
        return slow.min_lr;
    }
    let fraction = (iteration - slow.warmup) as f64 / (total - slow.warmup).max(1) as f64;
    slow.min_lr + cosine(fraction) * (slow.lr - slow.min_lr)
}

/// The fast steps of one iteration whose weight gradients join the slow step's.
#[derive(Debug, Clone, PartialEq)]
pub struct TrajectorySteps {
    steps: Vec<usize>,
    weight: f64,
}

impl TrajectorySteps {
    /// Draws for `iteration`, from the configuration's count and seed.
    pub fn draw(config: &Config, iteration: u64) -> Self {
        let (count, of) = (config.trajectory_samples(), config.fast.steps);
        Self {
            steps: distinct(count.min(of), of, config.train.seed, iteration),
            weight: if count == 0 { 0.0 } else { of as f64 / count.min(of) as f64 },
        }
    }

    /// No step: the weights' gradient comes from the inferred z alone.
    pub fn none() -> Self {
        Self { steps: Vec::new(), weight: 0.0 }
    }

    /// The steps, ascending, each from 0 to `fast.steps - 1`.
    pub fn steps(&self) -> &[usize] {
        &self.steps
    }

    /// Factor of each step's gradient that makes their sum an unbiased estimate of the sum over
    /// all steps; exactly 1 where all are drawn, 0 where none is.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Whether `step` was drawn.
    pub fn contains(&self, step: usize) -> bool {
        self.steps.binary_search(&step).is_ok()
    }
}

/// `count` of the numbers below `of`, ascending, every subset equally likely: the front of a
/// Fisher-Yates shuffle.
fn distinct(count: usize, of: usize, seed: u64, iteration: u64) -> Vec<usize> {
    let mut all: Vec<usize> = (0..of).collect();
    if count < of {
        for place in 0..count {
            let counter = [place as u32, sites::TRAJECTORY, 0, iteration as u32];
            let [a, b, ..] = philox4x32_10(counter, [seed as u32, (seed >> 32) as u32]);
            let random = u64::from(a) << 32 | u64::from(b);
            // 64 bits scaled to a few dozen choices: the bias is below 2^-58.
            let choice = (u128::from(random) * (of - place) as u128) >> 64;
            all.swap(place, place + choice as usize);
        }
    }
    all.truncate(count);
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Ramp, Reading, TrajectorySamples};

    fn config() -> Config {
        let mut config = Config::default();
        config.slow.total = 60000;
        config
    }

    fn assert_close(value: f64, expected: f64) {
        let error = (value - expected).abs();
        assert!(error <= 1e-15 * expected.abs().max(1e-3), "{value} against {expected}");
    }

    /// From the PyTorch oracle: 16 steps, peak 0.34.
    const FAST_16: [f64; 16] = [
        0.3400000000000001,
        0.33706014790169436,
        0.3283535684742269,
        0.3142148506822895,
        0.2951873375215418,
        0.27200224565199915,
        0.24555056515185877,
        0.2168488192684677,
        0.18700000000000003,
        0.1571511807315324,
        0.1284494348481413,
        0.10199775434800092,
        0.07881266247845825,
        0.05978514931771057,
        0.045646431525773135,
        0.03693985209830575,
    ];

    #[test]
    fn slow_lr_equals_the_oracle() {
        for (iteration, expected) in [
            (0, 0.0),
            (1, 4.0000000000000003e-07),
            (499, 0.0001996),
            (999, 0.0003996),
            (1000, 0.0004),
            (1001, 0.00039999999974482496),
            (20000, 0.00031547576346155364),
            (30500, 0.00022),
            (59999, 4.000000025517506e-05),
            (60000, 4e-05),
            (60001, 4e-05),
        ] {
            assert_close(slow_lr(&config(), iteration), expected);
        }
    }

    #[test]
    fn paper_reading_warms_up_from_the_first_step() {
        let mut config = config();
        config.reading = Reading::Paper;
        assert_close(slow_lr(&config, 0), 4e-7);
        assert_close(slow_lr(&config, 999), 4e-4);
        assert_close(slow_lr(&config, 1000), 4e-4);
    }

    #[test]
    fn runs_shorter_than_the_warmup_are_finite() {
        let mut config = config();
        for total in [1, 10, 999, 1000, 1001] {
            config.slow.total = total;
            config.fast.ramp = Ramp::On;
            for iteration in [0, 9, 999, 1000, 1001, 5000] {
                assert!(slow_lr(&config, iteration).is_finite());
                assert!(fast_peak(&config, iteration).is_finite());
            }
        }
    }

    #[test]
    fn fast_lr_equals_the_oracle() {
        let mut fast = config().fast;
        for (step, expected) in FAST_16.into_iter().enumerate() {
            assert_close(fast_lr(&fast, step, 0.34), expected);
        }
        fast.steps = 24;
        fast.schedule_steps = 16;
        for step in 0..24 {
            let expected = FAST_16.get(step).copied().unwrap_or(0.034);
            assert_close(fast_lr(&fast, step, 0.34), expected);
        }
        fast.steps = 4;
        fast.schedule_steps = 0;
        for (step, expected) in
            [0.3400000000000001, 0.2951873375215418, 0.18700000000000003, 0.07881266247845825]
                .into_iter()
                .enumerate()
        {
            assert_close(fast_lr(&fast, step, 0.34), expected);
        }
    }

    #[test]
    fn fast_peak_equals_the_oracle() {
        let mut config = config();
        assert_eq!(fast_peak(&config, 30000), 0.34);
        config.fast.ramp = Ramp::On;
        for (iteration, expected) in
            [(0, 0.3), (1000, 0.30066667777796297), (30000, 0.320000333338889), (59999, 0.34)]
        {
            assert_close(fast_peak(&config, iteration), expected);
        }
    }

    #[test]
    fn the_kl_weight_rises_to_its_value() {
        let mut config = config();
        assert_eq!([0, 1, 60000].map(|iteration| kl_weight(&config, iteration)), [1.0; 3]);
        (config.posterior.kl_weight, config.posterior.kl_warmup) = (0.5, 4);
        let weights = [0, 1, 2, 3, 4, 60000].map(|iteration| kl_weight(&config, iteration));
        assert_eq!(weights, [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]);
    }

    #[test]
    fn all_or_no_fast_steps() {
        let mut config = config();
        let all = TrajectorySteps::draw(&config, 5);
        assert_eq!(all.steps(), (0..16).collect::<Vec<_>>());
        assert_eq!(all.weight(), 1.0);
        config.slow.trajectory_samples = TrajectorySamples::Count(0);
        let none = TrajectorySteps::draw(&config, 5);
        assert!(none.steps().is_empty() && !none.contains(0));
        assert_eq!(none.weight(), 0.0);
    }

    #[test]
    fn sampled_fast_steps_are_distinct_repeatable_and_evenly_spread() {
        let mut config = config();
        config.slow.trajectory_samples = TrajectorySamples::Count(3);
        let mut hits = [0_u32; 16];
        let rounds = 16_000;
        for iteration in 0..rounds {
            let drawn = TrajectorySteps::draw(&config, iteration);
            assert_eq!(drawn, TrajectorySteps::draw(&config, iteration));
            assert!(drawn.steps().is_sorted_by(|a, b| a < b));
            assert_eq!(drawn.steps().len(), 3);
            assert!((drawn.weight() - 16.0 / 3.0).abs() < 1e-12);
            for &step in drawn.steps() {
                hits[step] += 1;
            }
        }
        // 3000 expected with a standard deviation of about 49.
        assert!(hits.iter().all(|hit| (2750..3250).contains(hit)), "{hits:?}");
    }
}
