//! A micro model, trained for three iterations on a device and on the CPU: every kernel of a
//! training has to be right for the losses to agree.

use std::time::Instant;

use ltm_engine::Device;
use ltm_engine::cpu::Cpu;
use ltm_engine::philox::Stream;

use crate::config::{Config, Dtype};
use crate::trainer::NEVER;
use crate::{Result, Trainer};

/// Iterations: the first has a learning rate of 0, and the last sees what the second one's update
/// made.
const ITERATIONS: usize = 3;

/// The CPU's losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    losses: [f64; ITERATIONS],
}

/// How a device did.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfTest {
    /// Largest distance of a loss from the CPU's, relative to it; not a number if the loss is
    /// none.
    pub distance: f64,
    /// What rounding explains.
    pub allowed: f64,
    /// Seconds that it took, compilation of kernels included.
    pub seconds: f64,
}

impl SelfTest {
    /// Whether the device computes what the CPU does.
    pub fn passed(&self) -> bool {
        self.distance <= self.allowed
    }
}

impl Reference {
    /// Trains on one thread of the CPU.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new() -> Result<Self> {
        Ok(Self { losses: train(Box::new(Cpu::new(1)?), Dtype::F32)? })
    }

    /// Trains on a device, with its activations stored in `dtype`.
    ///
    /// # Errors
    /// Of the device.
    pub fn compare(&self, device: Box<dyn Device>, dtype: Dtype) -> Result<SelfTest> {
        let begin = Instant::now();
        let losses = train(device, dtype)?;
        let seconds = begin.elapsed().as_secs_f64();
        let allowed = match dtype {
            Dtype::F32 => 1e-5,
            Dtype::Bf16 => 3e-3,
        };
        Ok(SelfTest { distance: distance(&losses, &self.losses), allowed, seconds })
    }
}

/// NaN where one of the losses is no number, which no comparison lets pass.
fn distance(losses: &[f64], reference: &[f64]) -> f64 {
    let off = losses.iter().zip(reference).map(|(loss, reference)| (loss / reference - 1.0).abs());
    off.fold(0.0, |most, off| if off > most || off.is_nan() { off } else { most })
}

fn config(dtype: Dtype) -> Config {
    let mut config = Config::default();
    let m = &mut config.model;
    (m.dim, m.layers, m.heads, m.vocab_size) = (64, 2, 4, 97);
    (m.max_seq_len, m.window, m.latents, m.multiple_of) = (32, 16, 8, 32);
    config.fast.steps = 2;
    // Fast enough that one update shows in the next loss.
    (config.slow.lr, config.slow.warmup) = (1e-2, 1);
    (config.train.batch, config.train.dtype) = (1, dtype);
    config
}

fn train(device: Box<dyn Device>, dtype: Dtype) -> Result<[f64; ITERATIONS]> {
    let config = config(dtype);
    let (mut tokens, mut targets) = (Vec::new(), Vec::new());
    for sample in 0..config.train.batch as u32 {
        let stream = Stream { seed: 3, site: 9, sample, iteration: 0 };
        let vocab = config.model.vocab_size as u32;
        let ids: Vec<i32> =
            (0..=config.seq_len() as u32).map(|i| (stream.block(i)[0] % vocab) as i32).collect();
        tokens.extend(&ids[..config.seq_len()]);
        targets.extend(&ids[1..]);
    }
    let mut trainer = Trainer::new(device, config)?;
    let Trainer { device, parameters, config, .. } = &mut trainer;
    parameters.initialise(device.as_mut(), &config.model, 1)?;
    let mut losses = [0.0; ITERATIONS];
    for (iteration, loss) in losses.iter_mut().enumerate() {
        *loss = trainer.iterate(iteration as u64, &tokens, &targets, &NEVER)?.loss;
    }
    Ok(losses)
}

#[cfg(test)]
mod tests {
    use ltm_engine::gpu::Gpu;

    use super::*;

    #[test]
    fn the_virtual_gpu_passes_and_a_wrong_loss_does_not() {
        let reference = Reference::new().unwrap();
        let losses = reference.losses;
        assert!((losses[2] / losses[1] - 1.0).abs() > 1e-3, "no update shows: {losses:?}");
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let test = reference.compare(Box::new(Gpu::virtual_gpu(1)), dtype).unwrap();
            println!("{dtype} {test:?}");
            assert!(test.passed() && test.distance > 0.0, "{dtype} {test:?}");
        }
        let passes = |losses: [f64; 3]| {
            SelfTest { distance: distance(&losses, &[4.0, 3.0, 2.0]), allowed: 1e-4, seconds: 0.0 }
                .passed()
        };
        assert!(passes([4.0, 3.0, 2.0]) && passes([4.0002, 3.0, 2.0]));
        assert!(!passes([4.001, 3.0, 2.0]) && !passes([4.0, 3.0, 1.999]));
        assert!(!passes([f64::NAN, 3.0, 2.0]) && !passes([4.0, 3.0, f64::NAN]));
    }
}
