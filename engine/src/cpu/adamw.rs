//! AdamW on flat vectors, and the global norm of the gradients.

use super::memory::{read, refused, write};
use super::parallel::Shared;
use super::pool::for_each;
use super::scratch::Partials;
use crate::ops::{ADAMW_CONSTANTS, AdamW, GlobalNorm};
use crate::{DeviceId, Result};

/// Elements per task.
const BLOCK: usize = 16_384;

/// The constants of one step, rounded once to f32.
#[derive(Clone, Copy)]
pub struct Adam {
    lr: f32,
    keep: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    correction1: f32,
    correction2: f32,
    eps: f32,
}

impl Adam {
    /// From [`crate::ops::AdamWStep::constants`].
    pub fn new(constants: &[f32; ADAMW_CONSTANTS], decay: bool) -> Self {
        let &[
            lr,
            keep,
            beta1,
            one_minus_beta1,
            beta2,
            one_minus_beta2,
            correction1,
            correction2,
            eps,
        ] = constants;
        Self {
            lr,
            keep: if decay { keep } else { 1.0 },
            beta1,
            one_minus_beta1,
            beta2,
            one_minus_beta2,
            correction1,
            correction2,
            eps,
        }
    }

    /// Learning rate of the step.
    #[inline(always)]
    pub fn rate(&self) -> f32 {
        self.lr
    }

    /// One element by momentum alone: no second moment, no decay.
    #[inline(always)]
    pub fn momentum(&self, p: &mut f32, g: f32, v: &mut f32) {
        *v = *v * self.beta1 + g;
        *p -= self.lr * *v;
    }

    /// One element.
    #[inline(always)]
    pub fn step(&self, p: &mut f32, g: f32, m: &mut f32, v: &mut f32) {
        *m = *m * self.beta1 + self.one_minus_beta1 * g;
        *v = *v * self.beta2 + self.one_minus_beta2 * g * g;
        let denominator = (*v / self.correction2).sqrt() + self.eps;
        *p = *p * self.keep - self.lr * (*m / self.correction1) / denominator;
    }
}

vectorized! {
    fn update(adam: Adam, factor: f32, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            adam.step(p, g * factor, m, v);
        }
    }
}

pub fn step(device: DeviceId, args: &AdamW<'_>) -> Result<()> {
    const OP: &str = "adamw";
    if args.copy.is_some() {
        return Err(refused(OP));
    }
    let params = Shared::new(write::<f32>(device, OP, args.params)?);
    let gradients = read::<f32>(device, OP, args.gradients)?;
    let first = Shared::new(write::<f32>(device, OP, args.first_moment)?);
    let second = Shared::new(write::<f32>(device, OP, args.second_moment)?);
    let constants = &read::<f32>(device, OP, args.step)?.as_chunks().0[0];
    let factor = match args.clip.map(|clip| read::<f64>(device, OP, clip)).transpose()? {
        // One bad number among the gradients would be in every parameter.
        Some(&[norm, _]) if !norm.is_finite() => return Ok(()),
        Some(clip) => clip[1] as f32,
        None => 1.0,
    };
    for segment in args.segments {
        let adam = Adam::new(constants, segment.decay);
        for_each(0..segment.len.div_ceil(BLOCK), |block| {
            let start = segment.offset + block * BLOCK;
            let range = start..(start + BLOCK).min(segment.offset + segment.len);
            // SAFETY: blocks and segments are disjoint.
            let [p, m, v] = [params, first, second].map(|s| unsafe { s.part(range.clone()) });
            update(adam, factor, p, &gradients[range], m, v);
        });
    }
    Ok(())
}

pub fn global_norm(device: DeviceId, args: &GlobalNorm<'_>, partials: &mut Partials) -> Result<()> {
    const OP: &str = "global_norm";
    let gradients = read::<f32>(device, OP, args.gradients)?;
    let out = write::<f64>(device, OP, args.out)?;
    let sums = partials.doubles(gradients.len().div_ceil(BLOCK));
    for_each(sums.iter_mut().zip(gradients.chunks(BLOCK)), |(sum, g)| *sum = square_sum(g));
    let norm = sums.iter().sum::<f64>().sqrt();
    let factor = if args.limit > 0.0 { (args.limit / (norm + 1e-6)).min(1.0) } else { 1.0 };
    out.copy_from_slice(&[norm, factor]);
    Ok(())
}

vectorized! {
    fn square_sum(x: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 16];
        let chunks = x.chunks_exact(16);
        let tail: f64 = chunks.remainder().iter().map(|&x| x as f64 * x as f64).sum();
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += x as f64 * x as f64;
            }
        }
        lanes.iter().sum::<f64>() + tail
    }
}
