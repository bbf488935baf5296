//! Fast updates by other rules, against other priors, and on points.

use super::adamw::Adam;
use super::gaussian::layer_major;
use super::latent_prior::{PriorValues, costs};
use super::math::exp;
use super::memory::{read, write};
use super::parallel::Shared;
use super::pool::for_each;
use super::scratch::Partials;
use super::steps;
use crate::ops::{ADAMW_CONSTANTS, DescentRule, GaussianDescent, GaussianShape, KlTerm, Langevin};
use crate::{DeviceId, Result};

/// Latent vector `vector` of all samples, in sample-major order.
struct Place {
    sample: usize,
    /// First number among those of the sample.
    own: usize,
    /// First number of `mu`.
    start: usize,
    /// First number of `z`.
    layer_major: usize,
}

fn place(shape: &GaussianShape, width: usize, vector: usize) -> Place {
    let start = vector * width;
    let (sample, own) = (start / shape.per_sample(), start % shape.per_sample());
    let (layer, inside) = (own / shape.per_layer, own % shape.per_layer);
    Place { sample, own, start, layer_major: layer_major(shape, sample, layer) + inside }
}

/// Gradients of one latent number.
#[inline(always)]
fn gradients(
    d_z: f32,
    (mu, logvar, eps): (f32, f32, f32),
    (mean, prior_logvar): (f32, f32),
    weight: f32,
) -> (f32, f32) {
    let deviation = exp(0.5 * logvar);
    let d_mu = d_z + weight * ((mu - mean) * exp(-prior_logvar));
    let d_logvar =
        d_z * eps * 0.5 * deviation + weight * (0.5 * (exp(logvar - prior_logvar) - 1.0));
    (d_mu, d_logvar)
}

/// What an update moves: `[mu, logvar, mu_m, mu_v, logvar_m, logvar_v]` of one latent vector.
type Parts<'a> = [&'a mut [f32]; 6];

vectorized! {
    fn move_vector(
        rule: DescentRule,
        adam: Adam,
        scale: f32,
        weight: f32,
        d_z: &[f32],
        eps: &[f32],
        mean: &[f32],
        prior_logvar: &[f32],
        parts: Parts<'_>,
        z: &mut [f32],
    ) {
        let [mu, logvar, mu_m, mu_v, logvar_m, logvar_v] = parts;
        for i in 0..z.len() {
            let posterior = (mu[i], logvar[i], eps[i]);
            let prior = (mean[i], prior_logvar[i]);
            let (d_mu, d_logvar) = gradients(d_z[i] * scale, posterior, prior, weight);
            match rule {
                DescentRule::AdamW => {
                    adam.step(&mut mu[i], d_mu, &mut mu_m[i], &mut mu_v[i]);
                    adam.step(&mut logvar[i], d_logvar, &mut logvar_m[i], &mut logvar_v[i]);
                }
                DescentRule::Momentum => {
                    adam.momentum(&mut mu[i], d_mu, &mut mu_m[i]);
                    adam.momentum(&mut logvar[i], d_logvar, &mut logvar_m[i]);
                }
                DescentRule::Natural => {
                    mu[i] -= adam.rate() * exp(logvar[i]) * d_mu;
                    let g = adam.rate() * 2.0 * d_logvar;
                    logvar[i] -= f64::from(1.0 + g + 0.5 * g * g).ln() as f32;
                }
            }
            z[i] = mu[i] + eps[i] * exp(0.5 * logvar[i]);
        }
    }
}

/// KL of each latent vector of all samples.
fn vector_kls(
    shape: &GaussianShape,
    term: &KlTerm<'_>,
    prior: &PriorValues<'_>,
    (mu, logvar): (&[f32], &[f32]),
    kls: &mut [f64],
) {
    let width = term.width;
    for_each(kls.iter_mut().enumerate(), |(vector, kl)| {
        let Place { own, start, .. } = place(shape, width, vector);
        let (mu, logvar) = (&mu[start..start + width], &logvar[start..start + width]);
        *kl = prior.kl(own..own + width, mu, logvar);
    });
}

pub fn update(device: DeviceId, args: &GaussianDescent<'_>, partials: &mut Partials) -> Result<()> {
    const OP: &str = "gaussian_descent";
    let GaussianDescent { rule, kl_term, update } = args;
    let (shape, width) = (update.shape, kl_term.width);
    let kl = write::<f64>(device, OP, update.kl)?;
    if shape.is_empty() {
        kl.fill(0.0);
        return Ok(());
    }
    let d_z = read::<f32>(device, OP, update.d_z)?;
    let eps = read::<f32>(device, OP, update.eps)?;
    let mu = write::<f32>(device, OP, update.mu)?;
    let logvar = write::<f32>(device, OP, update.logvar)?;
    let schedule = read::<f32>(device, OP, update.schedule)?.as_chunks::<ADAMW_CONSTANTS>().0;
    let step = read::<i32>(device, OP, update.step)?;
    steps::check(OP, step, update.steps)?;
    let n = shape.len();
    let (mu_m, mu_v) = write::<f32>(device, OP, update.mu_moments)?.split_at_mut(n);
    let (logvar_m, logvar_v) = write::<f32>(device, OP, update.logvar_moments)?.split_at_mut(n);
    let prior = PriorValues::of(device, OP, &kl_term.prior, shape.per_sample())?;
    let kls = partials.doubles(n / width);
    vector_kls(&shape, kl_term, &prior, (mu, logvar), kls);
    for (kl, vectors) in kl.iter_mut().zip(kls.chunks(shape.per_sample() / width)) {
        *kl = vectors.iter().sum();
    }
    let z = Shared::new(write::<f32>(device, OP, update.z)?);
    let parts = [mu, logvar, mu_m, mu_v, logvar_m, logvar_v].map(Shared::new);
    for_each(0..n / width, |vector| {
        let at = place(&shape, width, vector);
        let (range, own) = (at.start..at.start + width, at.own..at.own + width);
        let layer_major = at.layer_major..at.layer_major + width;
        let adam = Adam::new(&schedule[step[at.sample] as usize], true);
        let weight = if costs(kl_term, || kls[vector]) { kl_term.weight } else { 0.0 };
        // SAFETY: latent vectors are disjoint, in either order.
        let moved = parts.each_ref().map(|part| unsafe { part.part(range.clone()) });
        // SAFETY: as above.
        let z = unsafe { z.part(layer_major.clone()) };
        move_vector(
            *rule,
            adam,
            update.d_z_scale,
            weight,
            &d_z[layer_major],
            &eps[range],
            &prior.mean[own.clone()],
            &prior.logvar[own],
            moved,
            z,
        );
    });
    Ok(())
}

pub fn langevin(device: DeviceId, args: &Langevin<'_>) -> Result<()> {
    const OP: &str = "langevin";
    let shape = args.shape;
    let neg_log_prior = write::<f64>(device, OP, args.neg_log_prior)?;
    if shape.is_empty() {
        neg_log_prior.fill(0.0);
        return Ok(());
    }
    let d_z = read::<f32>(device, OP, args.d_z)?;
    let noise = read::<f32>(device, OP, args.noise)?;
    let point = write::<f32>(device, OP, args.point)?;
    let schedule = read::<f32>(device, OP, args.schedule)?.as_chunks::<ADAMW_CONSTANTS>().0;
    let step = read::<i32>(device, OP, args.step)?;
    steps::check(OP, step, args.steps)?;
    let per_sample = shape.per_sample();
    let prior = PriorValues::of(device, OP, &args.prior, per_sample)?;
    for_each(neg_log_prior.iter_mut().zip(point.chunks(per_sample)), |(out, point)| {
        *out = prior.neg_log_density(point);
    });
    let (z, point) = (Shared::new(write::<f32>(device, OP, args.z)?), Shared::new(point));
    for_each(0..shape.samples * shape.layers, |piece| {
        let at = place(&shape, shape.per_layer, piece);
        let (range, own) = (at.start..at.start + shape.per_layer, at.own..at.own + shape.per_layer);
        let layer_major = at.layer_major..at.layer_major + shape.per_layer;
        let rate = Adam::new(&schedule[step[at.sample] as usize], true).rate();
        // SAFETY: the pieces of different samples and layers are disjoint, in either order.
        let (point, z) = unsafe { (point.part(range.clone()), z.part(layer_major.clone())) };
        wander(
            rate,
            args.d_z_scale,
            args.weight,
            &d_z[layer_major],
            &noise[range],
            &prior.mean[own.clone()],
            &prior.logvar[own],
            point,
            z,
        );
    });
    Ok(())
}

vectorized! {
    fn wander(
        rate: f32,
        scale: f32,
        weight: f32,
        d_z: &[f32],
        noise: &[f32],
        mean: &[f32],
        prior_logvar: &[f32],
        point: &mut [f32],
        z: &mut [f32],
    ) {
        let spread = (2.0 * rate).sqrt();
        for i in 0..point.len() {
            let pull = weight * ((point[i] - mean[i]) * exp(-prior_logvar[i]));
            point[i] += spread * noise[i] - rate * (d_z[i] * scale + pull);
        }
        z.copy_from_slice(point);
    }
}
