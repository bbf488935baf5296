//! Gaussian noise from Philox4x32-10.

use ltm_engine::ops::Normal;
use ltm_engine::{Buffer, Device, Result};

use crate::{Arg, Case, Expected, Format, Inputs, Rounding};

/// Key of every case.
pub const SEED: u64 = 0x0123_4567_89AB_CDEF;

/// `normal`.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// What the numbers are for.
    pub site: u32,
    /// Training iteration.
    pub iteration: u32,
    /// Index of the first sequence.
    pub first_sample: u32,
    /// Sequences.
    pub samples: usize,
    /// Numbers per sequence.
    pub per_sample: usize,
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub std: f32,
}

printed!(Noise);

/// A small case.
pub const PLAIN: Noise = Noise {
    site: 3,
    iteration: 17,
    first_sample: 5,
    samples: 2,
    per_sample: 6,
    mean: 0.0,
    std: 1.0,
};

impl Case for Noise {
    fn op(&self) -> &'static str {
        "normal"
    }

    fn args(&self, _: Format) -> Vec<Arg> {
        vec![Arg::overwritten("out", self.samples * self.per_sample)]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.normal(&Normal {
            out: &b[0],
            seed: SEED,
            site: self.site,
            iteration: self.iteration,
            first_sample: self.first_sample,
            samples: self.samples,
            per_sample: self.per_sample,
            mean: self.mean,
            std: self.std,
        })
    }

    /// Box-Muller in f64 on the words of another implementation of the generator.
    fn expected(&self, _: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let key = [SEED as u32, (SEED >> 32) as u32];
        let mut numbers = Vec::new();
        for sample in 0..self.samples as u32 {
            let sample = self.first_sample.wrapping_add(sample);
            for pair in 0..self.per_sample.div_ceil(2) as u32 {
                let counter = [pair / 2, self.site, sample, self.iteration];
                let words = rand_philox::philox4x32_10(counter, key);
                let half = 2 * (pair as usize % 2);
                let [a, b] = [words[half], words[half + 1]].map(|w| w as f64);
                let radius = (-2.0 * ((a + 1.0) / 2f64.powi(32)).ln()).sqrt();
                let angle = std::f64::consts::TAU * b / 2f64.powi(32);
                let of_pair = [radius * angle.cos(), radius * angle.sin()];
                numbers.extend(&of_pair[..2.min(self.per_sample - 2 * pair as usize)]);
            }
        }
        numbers.iter_mut().for_each(|x| *x = self.mean as f64 + self.std as f64 * *x);
        vec![Expected::new(numbers, 1.5)]
    }
}
