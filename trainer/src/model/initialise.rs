//! Initial weights: N(0, 0.02^2); both output projections and one matrix of the feed-forward
//! block are smaller by `sqrt(2 L)`; gains are 1 (released code). A learned prior
//! starts as N(0, I).

use std::convert::Infallible;

use ltm_engine::philox::Stream;
use rand::rand_core::TryRng;
use rand_distr::{Distribution, StandardNormal};

use super::ParameterLayout;
use super::layout::is_prior;
use crate::config::{ModelConfig, ScaledInit};
use crate::sites;

/// The counter-based generator as a stream of words.
struct Words {
    stream: Stream,
    block: u32,
    words: [u32; 4],
    used: usize,
}

impl Words {
    fn new(stream: Stream) -> Self {
        Self { stream, block: 0, words: [0; 4], used: 4 }
    }
}

impl TryRng for Words {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        if self.used == self.words.len() {
            self.words = self.stream.block(self.block);
            self.block = self.block.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        Ok(self.words[self.used - 1])
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = self.try_next_u32()? as u64;
        Ok((self.try_next_u32()? as u64) << 32 | low)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for piece in bytes.chunks_mut(4) {
            piece.copy_from_slice(&self.try_next_u32()?.to_le_bytes()[..piece.len()]);
        }
        Ok(())
    }
}

/// The flat vector of initial weights. Each parameter has its own stream of numbers.
pub(super) fn initial_weights(
    model: &ModelConfig,
    layout: &ParameterLayout,
    seed: u64,
) -> Vec<f32> {
    let feed_forward = match model.ffn_scaled_init {
        ScaledInit::UpProj => "up_proj.weight",
        ScaledInit::DownProj => "down_proj.weight",
    };
    let mut values = vec![1.0f32; layout.len()];
    for (index, entry) in layout.entries().iter().enumerate() {
        if is_prior(&entry.name) {
            values[entry.range.clone()].fill(0.0);
            continue;
        }
        if entry.shape.len() < 2 {
            continue;
        }
        let reduced = entry.name.ends_with("wo.weight") || entry.name.ends_with(feed_forward);
        let depth = if reduced { (2 * model.layers) as f32 } else { 1.0 };
        let std = 0.02 / depth.sqrt();
        let sample = index as u32;
        let stream = Stream { seed, site: sites::WEIGHT_INIT, sample, iteration: 0 };
        let mut words = Words::new(stream);
        for value in &mut values[entry.range.clone()] {
            let normal: f32 = StandardNormal.sample(&mut words);
            *value = normal * std;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn deviations_are_those_of_the_released_code() {
        let mut model = Config::default().model;
        (model.dim, model.vocab_size) = (128, 500);
        let layout = ParameterLayout::new(&model);
        let values = initial_weights(&model, &layout, 3);
        for entry in layout.entries() {
            let values = &values[entry.range.clone()];
            if entry.shape.len() == 1 {
                assert!(values.iter().all(|&x| x == 1.0));
                continue;
            }
            let square = values.iter().map(|x| (x * x) as f64).sum::<f64>();
            let std = (square / values.len() as f64).sqrt();
            let small = ["wo.weight", "up_proj.weight"].iter().any(|n| entry.name.ends_with(n));
            let expected = if small { 0.02 / 6f64.sqrt() } else { 0.02 };
            assert!((std / expected - 1.0).abs() < 0.03, "{}: {std}", entry.name);
        }
        assert_ne!(values, initial_weights(&model, &layout, 4));
    }
}
