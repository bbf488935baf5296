//! The posterior, the optimiser and random numbers.

use ltm_engine::DType;
use ltm_engine::ops::{
    AdamW, AdamWSegment, GaussianBackward, GaussianKl, GaussianReparameterise, GaussianShape,
    GaussianUpdate, GlobalNorm, Normal, Trace,
};

use super::Setting;
use super::arguments::Cases;
use crate::Result;
use crate::config::Config;

pub(super) fn measure(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let shape = GaussianShape {
        samples: setting.shape.batch,
        layers: setting.model.layers,
        per_layer: setting.model.latents_per_layer() * setting.model.dim,
    };
    gaussian(cases, shape)?;
    update(cases, shape)?;
    trace(cases, setting)?;
    normal(cases, shape)
}

fn gaussian(cases: &mut Cases<'_>, shape: GaussianShape) -> Result<()> {
    let n = shape.len();
    cases.measure("gaussian_reparameterise", "", 0.0, |b| {
        let [mu, logvar, eps] = [b.floats(n)?, b.floats(n)?, b.floats(n)?];
        let z = b.stored(n)?;
        Ok(Box::new(move |device| {
            let (mu, logvar, eps, z) = (&mu, &logvar, &eps, &z);
            device.gaussian_reparameterise(&GaussianReparameterise { mu, logvar, eps, z, shape })
        }))
    })?;
    cases.measure("gaussian_kl", "", 0.0, |b| {
        let (mu, logvar, kl) = (b.floats(n)?, b.floats(n)?, b.doubles(shape.samples)?);
        Ok(Box::new(move |device| {
            device.gaussian_kl(&GaussianKl { mu: &mu, logvar: &logvar, kl: &kl, shape })
        }))
    })?;
    cases.measure("gaussian_backward", "", 0.0, |b| {
        let [mu, logvar, eps] = [b.floats(n)?, b.floats(n)?, b.floats(n)?];
        let (d_z, d_mu, d_logvar) = (b.stored(n)?, b.floats(n)?, b.floats(n)?);
        Ok(Box::new(move |device| {
            device.gaussian_backward(&GaussianBackward {
                d_z: &d_z,
                mu: &mu,
                logvar: &logvar,
                eps: &eps,
                d_mu: &d_mu,
                d_logvar: &d_logvar,
                shape,
            })
        }))
    })
}

fn update(cases: &mut Cases<'_>, shape: GaussianShape) -> Result<()> {
    let n = shape.len();
    cases.measure("gaussian_update", "", 0.0, |b| {
        let (d_z, eps, z) = (b.stored(n)?, b.floats(n)?, b.stored(n)?);
        let (mu, logvar) = (b.updated(n)?, b.updated(n)?);
        let (mu_moments, logvar_moments) = (b.moments(2 * n)?, b.moments(2 * n)?);
        let (kl, schedule) = (b.doubles(shape.samples)?, b.constants()?);
        let step = b.integers(&vec![0; shape.samples])?;
        Ok(Box::new(move |device| {
            device.gaussian_update(&GaussianUpdate {
                d_z: &d_z,
                d_z_scale: 1.0,
                eps: &eps,
                mu: &mu,
                logvar: &logvar,
                mu_moments: &mu_moments,
                logvar_moments: &logvar_moments,
                kl: &kl,
                z: &z,
                schedule: &schedule,
                step: &step,
                steps: 1,
                shape,
            })
        }))
    })
}

/// With the zeroing of its counter, which would else leave the trace.
fn trace(cases: &mut Cases<'_>, setting: &Setting<'_>) -> Result<()> {
    let (samples, seq) = (setting.shape.batch, setting.shape.seq);
    cases.measure("trace", "from the first step", 0.0, |b| {
        let (token_nll, kl) = (b.floats(samples * seq)?, b.doubles(samples)?);
        let step = b.integers(&vec![0; samples])?;
        let trace = b.doubles(2 * samples)?;
        Ok(Box::new(move |device| {
            device.zero(&step)?;
            device.trace(&Trace {
                token_nll: &token_nll,
                kl: &kl,
                step: &step,
                trace: &trace,
                samples,
                seq,
                rows: 1,
            })
        }))
    })
}

fn normal(cases: &mut Cases<'_>, shape: GaussianShape) -> Result<()> {
    let (samples, per_sample) = (shape.samples, shape.per_sample());
    cases.measure("normal", "", 0.0, |b| {
        let out = b.floats(samples * per_sample)?;
        Ok(Box::new(move |device| {
            device.normal(&Normal {
                out: &out,
                seed: 1,
                site: 1,
                iteration: 0,
                first_sample: 0,
                samples,
                per_sample,
                mean: 0.0,
                std: 1.0,
            })
        }))
    })
}

/// All weights of the model, with the copy that passes read where that is stored.
pub(super) fn optimiser(
    cases: &mut Cases<'_>,
    setting: &Setting<'_>,
    config: &Config,
) -> Result<()> {
    let n = config.parameter_count();
    cases.measure("global_norm", "", 0.0, |b| {
        let (gradients, out) = (b.floats(n)?, b.doubles(2)?);
        Ok(Box::new(move |device| {
            device.global_norm(&GlobalNorm { gradients: &gradients, out: &out, limit: 1.0 })
        }))
    })?;
    let copied = setting.storage == DType::BF16;
    cases.measure("adamw", "", 0.0, |b| {
        let (params, gradients) = (b.updated(n)?, b.floats(n)?);
        let (first_moment, second_moment) = (b.moments(n)?, b.moments(n)?);
        let copy = if copied { Some(b.stored(n)?) } else { None };
        let step = b.constants()?;
        Ok(Box::new(move |device| {
            device.adamw(&AdamW {
                params: &params,
                gradients: &gradients,
                first_moment: &first_moment,
                second_moment: &second_moment,
                copy: copy.as_ref(),
                clip: None,
                segments: &[AdamWSegment { offset: 0, len: n, decay: true }],
                step: &step,
            })
        }))
    })
}
