//! A diagonal Gaussian prior of the latents: divergences from it, and its gradient.

use std::borrow::Cow;
use std::f64::consts::TAU;
use std::ops::Range;

use super::memory::{read, write};
use super::parallel::Shared;
use super::pool::for_each;
use crate::ops::{GaussianPrior, KlTerm, PriorBackward, PriorDivergence};
use crate::{DeviceId, Result};

/// Mean and log variance of every latent number of a sequence.
pub struct PriorValues<'a> {
    pub mean: Cow<'a, [f32]>,
    pub logvar: Cow<'a, [f32]>,
}

impl<'a> PriorValues<'a> {
    /// Those of `prior`, or zeros for N(0, I).
    pub fn of(
        device: DeviceId,
        op: &'static str,
        prior: &Option<GaussianPrior<'a>>,
        per_sample: usize,
    ) -> Result<Self> {
        Ok(match prior {
            None => {
                Self { mean: vec![0.0; per_sample].into(), logvar: vec![0.0; per_sample].into() }
            }
            Some(prior) => Self {
                mean: read::<f32>(device, op, prior.mean)?.into(),
                logvar: read::<f32>(device, op, prior.logvar)?.into(),
            },
        })
    }

    /// KL of `N(mu, exp(logvar))` from the numbers `range` of the prior, in f64: its terms cancel
    /// near the prior.
    pub fn kl(&self, range: Range<usize>, mu: &[f32], logvar: &[f32]) -> f64 {
        let prior = self.mean[range.clone()].iter().zip(&self.logvar[range]);
        let term = |((&m, &lv), (&pm, &plv)): ((&f32, &f32), (&f32, &f32))| {
            let (distance, lv, plv) = (f64::from(m) - f64::from(pm), f64::from(lv), f64::from(plv));
            distance * distance * (-plv).exp() + (lv - plv).exp() - (lv - plv) - 1.0
        };
        0.5 * mu.iter().zip(logvar).zip(prior).map(term).sum::<f64>()
    }

    /// `-log p` of all numbers of one sequence.
    pub fn neg_log_density(&self, z: &[f32]) -> f64 {
        let prior = self.mean.iter().zip(self.logvar.iter());
        let term = |(&z, (&pm, &plv)): (&f32, (&f32, &f32))| {
            let (distance, plv) = (f64::from(z) - f64::from(pm), f64::from(plv));
            distance * distance * (-plv).exp() + plv + TAU.ln()
        };
        0.5 * z.iter().zip(prior).map(term).sum::<f64>()
    }
}

pub fn divergence(device: DeviceId, args: &PriorDivergence<'_>) -> Result<()> {
    const OP: &str = "prior_divergence";
    let per_sample = args.shape.per_sample();
    let mu = read::<f32>(device, OP, args.mu)?;
    let logvar = args.logvar.map(|logvar| read::<f32>(device, OP, logvar)).transpose()?;
    let prior = PriorValues::of(device, OP, &args.prior, per_sample)?;
    let kl = write::<f64>(device, OP, args.kl)?;
    for_each(kl.iter_mut().enumerate(), |(sample, kl)| {
        let range = sample * per_sample..(sample + 1) * per_sample;
        *kl = match logvar {
            Some(logvar) => prior.kl(0..per_sample, &mu[range.clone()], &logvar[range]),
            None => prior.neg_log_density(&mu[range]),
        };
    });
    Ok(())
}

/// Whether the KL of a latent vector is beyond what is free.
pub fn costs(term: &KlTerm<'_>, kl: impl FnOnce() -> f64) -> bool {
    term.free == 0.0 || kl() > term.free
}

pub fn backward(device: DeviceId, args: &PriorBackward<'_>) -> Result<()> {
    const OP: &str = "prior_backward";
    let (shape, width) = (args.shape, args.kl_term.width);
    let per_sample = shape.per_sample();
    let mu = read::<f32>(device, OP, args.mu)?;
    let logvar = args.logvar.map(|logvar| read::<f32>(device, OP, logvar)).transpose()?;
    let prior = PriorValues::of(device, OP, &args.kl_term.prior, per_sample)?;
    let d_mean = Shared::new(write::<f32>(device, OP, args.d_mean)?);
    let d_logvar = Shared::new(write::<f32>(device, OP, args.d_logvar)?);
    let factor = f64::from(args.scale) * f64::from(args.kl_term.weight);
    for_each(0..per_sample / width, |vector| {
        let numbers = vector * width..(vector + 1) * width;
        let mut sums = vec![(0.0f64, 0.0f64); width];
        // Samples in order, whatever the thread.
        for sample in 0..shape.samples {
            let own = sample * per_sample + numbers.start..sample * per_sample + numbers.end;
            let (mu, logvar) = (&mu[own.clone()], logvar.map(|logvar| &logvar[own]));
            let kl = || logvar.map_or(0.0, |logvar| prior.kl(numbers.clone(), mu, logvar));
            if !costs(&args.kl_term, kl) {
                continue;
            }
            for (i, (d_mean, d_logvar)) in sums.iter_mut().enumerate() {
                let precision = (-f64::from(prior.logvar[numbers.start + i])).exp();
                let distance = f64::from(prior.mean[numbers.start + i]) - f64::from(mu[i]);
                let variance = logvar.map_or(0.0, |logvar| f64::from(logvar[i]).exp());
                *d_mean += distance * precision;
                *d_logvar += 0.5 * (1.0 - (variance + distance * distance) * precision);
            }
        }
        // SAFETY: vectors are disjoint.
        let (m, lv) = unsafe { (d_mean.part(numbers.clone()), d_logvar.part(numbers.clone())) };
        for ((m, lv), (d_mean, d_logvar)) in m.iter_mut().zip(lv).zip(sums) {
            *m += (factor * d_mean) as f32;
            *lv += (factor * d_logvar) as f32;
        }
    });
    Ok(())
}
