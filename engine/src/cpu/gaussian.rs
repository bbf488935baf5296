//! The posterior over the latents: its draw, its KL, its gradients and its update.

use super::adamw::Adam;
use super::math::exp;
use super::memory::{read, write};
use super::parallel::Shared;
use super::pool::for_each;
use super::steps;
use crate::ops::{
    ADAMW_CONSTANTS, GaussianBackward, GaussianKl, GaussianReparameterise, GaussianShape,
    GaussianUpdate,
};
use crate::{DeviceId, Result};

/// First element of layer `layer` of sample `sample` in the layer-major layout of z.
pub fn layer_major(shape: &GaussianShape, sample: usize, layer: usize) -> usize {
    (layer * shape.samples + sample) * shape.per_layer
}

/// Calls `f(sample-major range, layer-major range)` for every piece of every sample, samples
/// in parallel.
fn for_each_piece(
    shape: GaussianShape,
    f: impl Fn(std::ops::Range<usize>, std::ops::Range<usize>) + Sync,
) {
    for_each(0..shape.samples * shape.layers, |piece| {
        let (sample, layer) = (piece / shape.layers, piece % shape.layers);
        let (a, b) = (piece * shape.per_layer, layer_major(&shape, sample, layer));
        f(a..a + shape.per_layer, b..b + shape.per_layer);
    });
}

vectorized! {
    fn draw(mu: &[f32], logvar: &[f32], eps: &[f32], z: &mut [f32]) {
        for (((z, mu), lv), e) in z.iter_mut().zip(mu).zip(logvar).zip(eps) {
            *z = mu + e * exp(0.5 * lv);
        }
    }
}

pub fn reparameterise(device: DeviceId, args: &GaussianReparameterise<'_>) -> Result<()> {
    const OP: &str = "gaussian_reparameterise";
    let mu = read::<f32>(device, OP, args.mu)?;
    let logvar = read::<f32>(device, OP, args.logvar)?;
    let eps = read::<f32>(device, OP, args.eps)?;
    let z = Shared::new(write::<f32>(device, OP, args.z)?);
    for_each_piece(args.shape, |a, b| {
        // SAFETY: the pieces of different samples and layers are disjoint.
        let z = unsafe { z.part(b) };
        draw(&mu[a.clone()], &logvar[a.clone()], &eps[a], z);
    });
    Ok(())
}

/// KL of one sample in f64: its terms cancel near the prior.
fn kl_of(mu: &[f32], logvar: &[f32]) -> f64 {
    let term = |(&m, &lv): (&f32, &f32)| {
        let (m, lv) = (m as f64, lv as f64);
        m * m + lv.exp() - lv - 1.0
    };
    0.5 * mu.iter().zip(logvar).map(term).sum::<f64>()
}

fn kl_into(kl: &mut [f64], mu: &[f32], logvar: &[f32], per_sample: usize) {
    if per_sample == 0 {
        return kl.fill(0.0);
    }
    let posteriors = mu.chunks(per_sample).zip(logvar.chunks(per_sample));
    for_each(kl.iter_mut().zip(posteriors), |(kl, (mu, logvar))| *kl = kl_of(mu, logvar));
}

pub fn kl(device: DeviceId, args: &GaussianKl<'_>) -> Result<()> {
    const OP: &str = "gaussian_kl";
    let mu = read::<f32>(device, OP, args.mu)?;
    let logvar = read::<f32>(device, OP, args.logvar)?;
    let kl = write::<f64>(device, OP, args.kl)?;
    kl_into(kl, mu, logvar, args.shape.per_sample());
    Ok(())
}

/// Gradients of one latent number.
#[inline(always)]
fn gradients(d_z: f32, mu: f32, logvar: f32, eps: f32) -> (f32, f32) {
    let deviation = exp(0.5 * logvar);
    let d_logvar = d_z * eps * 0.5 * deviation + 0.5 * (exp(logvar) - 1.0);
    (d_z + mu, d_logvar)
}

vectorized! {
    fn gradients_into(
        d_z: &[f32],
        mu: &[f32],
        logvar: &[f32],
        eps: &[f32],
        d_mu: &mut [f32],
        d_logvar: &mut [f32],
    ) {
        for i in 0..d_z.len() {
            (d_mu[i], d_logvar[i]) = gradients(d_z[i], mu[i], logvar[i], eps[i]);
        }
    }
}

pub fn backward(device: DeviceId, args: &GaussianBackward<'_>) -> Result<()> {
    const OP: &str = "gaussian_backward";
    let d_z = read::<f32>(device, OP, args.d_z)?;
    let mu = read::<f32>(device, OP, args.mu)?;
    let logvar = read::<f32>(device, OP, args.logvar)?;
    let eps = read::<f32>(device, OP, args.eps)?;
    let d_mu = Shared::new(write::<f32>(device, OP, args.d_mu)?);
    let d_logvar = Shared::new(write::<f32>(device, OP, args.d_logvar)?);
    for_each_piece(args.shape, |a, b| {
        // SAFETY: the pieces of different samples and layers are disjoint.
        let (d_mu, d_logvar) = unsafe { (d_mu.part(a.clone()), d_logvar.part(a.clone())) };
        gradients_into(&d_z[b], &mu[a.clone()], &logvar[a.clone()], &eps[a], d_mu, d_logvar);
    });
    Ok(())
}

vectorized! {
    fn update_piece(
        adam: Adam,
        scale: f32,
        d_z: &[f32],
        eps: &[f32],
        mu: &mut [f32],
        logvar: &mut [f32],
        mu_m: &mut [f32],
        mu_v: &mut [f32],
        logvar_m: &mut [f32],
        logvar_v: &mut [f32],
        z: &mut [f32],
    ) {
        for i in 0..d_z.len() {
            let (d_mu, d_logvar) = gradients(d_z[i] * scale, mu[i], logvar[i], eps[i]);
            adam.step(&mut mu[i], d_mu, &mut mu_m[i], &mut mu_v[i]);
            adam.step(&mut logvar[i], d_logvar, &mut logvar_m[i], &mut logvar_v[i]);
            z[i] = mu[i] + eps[i] * exp(0.5 * logvar[i]);
        }
    }
}

pub fn update(device: DeviceId, args: &GaussianUpdate<'_>) -> Result<()> {
    const OP: &str = "gaussian_update";
    let d_z = read::<f32>(device, OP, args.d_z)?;
    let eps = read::<f32>(device, OP, args.eps)?;
    let mu = write::<f32>(device, OP, args.mu)?;
    let logvar = write::<f32>(device, OP, args.logvar)?;
    let n = args.shape.len();
    let schedule = read::<f32>(device, OP, args.schedule)?.as_chunks::<ADAMW_CONSTANTS>().0;
    let step = read::<i32>(device, OP, args.step)?;
    steps::check(OP, step, args.steps)?;
    let (mu_m, mu_v) = write::<f32>(device, OP, args.mu_moments)?.split_at_mut(n);
    let (logvar_m, logvar_v) = write::<f32>(device, OP, args.logvar_moments)?.split_at_mut(n);
    kl_into(write(device, OP, args.kl)?, mu, logvar, args.shape.per_sample());
    let z = Shared::new(write::<f32>(device, OP, args.z)?);
    let parts = [mu, logvar, mu_m, mu_v, logvar_m, logvar_v].map(Shared::new);
    let (layers, per_layer) = (args.shape.layers, args.shape.per_layer);
    for_each_piece(args.shape, |a, b| {
        let sample = a.start / (layers * per_layer).max(1);
        let adam = Adam::new(&schedule[step[sample] as usize], true);
        // SAFETY: the pieces of different samples and layers are disjoint.
        let [mu, logvar, mu_m, mu_v, logvar_m, logvar_v] =
            parts.each_ref().map(|p| unsafe { p.part(a.clone()) });
        // SAFETY: as above.
        let z = unsafe { z.part(b.clone()) };
        update_piece(
            adam,
            args.d_z_scale,
            &d_z[b],
            &eps[a],
            mu,
            logvar,
            mu_m,
            mu_v,
            logvar_m,
            logvar_v,
            z,
        );
    });
    Ok(())
}
