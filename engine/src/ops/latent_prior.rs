//! A diagonal Gaussian prior of the latents, `p(z) = N(mean, exp(logvar))`, one for all sequences.
//!
//! `mean` and `logvar` are `[per_sample]` f32 in the order of `mu`; where there is no prior
//! argument, p(z) is N(0, I). [`GaussianKl`](super::GaussianKl) is the KL from N(0, I) alone.

use super::check;
use super::gaussian::GaussianShape;
use crate::{Buffer, DType, Result};

/// Mean and log variance of the prior.
#[derive(Clone, Copy, Debug)]
pub struct GaussianPrior<'a> {
    /// `[per_sample]` f32.
    pub mean: &'a Buffer,
    /// `[per_sample]` f32.
    pub logvar: &'a Buffer,
}

impl<'a> GaussianPrior<'a> {
    pub(super) fn check(&self, op: &'static str, shape: &GaussianShape) -> Result<()> {
        check::floats(op, "prior mean", self.mean, shape.per_sample())?;
        check::floats(op, "prior logvar", self.logvar, shape.per_sample())
    }

    pub(super) fn buffers(prior: &Option<Self>) -> impl Iterator<Item = &'a Buffer> {
        prior.iter().flat_map(|prior| [prior.mean, prior.logvar])
    }
}

/// What the prior adds to the loss of a sequence: `weight * sum_j max(free, kl_j)`, where `kl_j` is
/// the KL of latent vector j, in nats. `free` above 0 are the free bits of Kingma et al. (2016,
/// "Improved variational inference with inverse autoregressive flow", section 4), here for each
/// sequence by itself instead of a minibatch's mean: a vector at or below `free` has no gradient.
#[derive(Clone, Copy, Debug)]
pub struct KlTerm<'a> {
    /// The prior; `None` is N(0, I).
    pub prior: Option<GaussianPrior<'a>>,
    /// Factor of the KL.
    pub weight: f32,
    /// Nats of each latent vector that cost nothing; 0: none.
    pub free: f64,
    /// Numbers of a latent vector, a divisor of `per_layer`.
    pub width: usize,
}

impl KlTerm<'_> {
    pub(super) fn check(&self, op: &'static str, shape: &GaussianShape) -> Result<()> {
        check::positive(op, "width", self.width)?;
        check::value(op, shape.per_layer.is_multiple_of(self.width), || {
            format!("{} numbers of a layer in vectors of {}", shape.per_layer, self.width)
        })?;
        check::value(op, self.weight.is_finite() && self.weight >= 0.0, || {
            format!("weight of the KL is {}, expected 0 or above", self.weight)
        })?;
        check::value(op, self.free.is_finite() && self.free >= 0.0, || {
            format!("free nats are {}, expected 0 or above", self.free)
        })?;
        match &self.prior {
            None => Ok(()),
            Some(prior) => prior.check(op, shape),
        }
    }
}

/// `kl[s] = KL(N(mu, exp(logvar)) || p)` over the latents of sample `s`, nats. Where `logvar` is
/// `None`, `mu` is a point z, and the result is `-log p(z)`, constants included.
#[derive(Debug)]
pub struct PriorDivergence<'a> {
    /// Means, or points.
    pub mu: &'a Buffer,
    /// Log variances; `None` for points.
    pub logvar: Option<&'a Buffer>,
    /// The prior; `None` is N(0, I).
    pub prior: Option<GaussianPrior<'a>>,
    /// `[samples]` f64, overwritten.
    pub kl: &'a Buffer,
    /// Extents.
    pub shape: GaussianShape,
}

impl PriorDivergence<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "prior_divergence";
        check::floats(OP, "mu", self.mu, self.shape.len())?;
        if let Some(logvar) = self.logvar {
            check::floats(OP, "logvar", logvar, self.shape.len())?;
        }
        if let Some(prior) = &self.prior {
            prior.check(OP, &self.shape)?;
        }
        check::buffer(OP, "kl", self.kl, DType::F64, self.shape.samples)?;
        let mut inputs = vec![self.mu];
        inputs.extend(self.logvar);
        inputs.extend(GaussianPrior::buffers(&self.prior));
        check::distinct(OP, &[self.kl], &inputs)
    }
}

/// Adds `scale` times the gradient of the [`KlTerm`] of all samples with respect to its prior:
/// `d kl / d mean = (mean - mu) / exp(logvar)`,
/// `d kl / d logvar = (1 - (exp(logvar_q) + (mean - mu)^2) / exp(logvar)) / 2`.
/// Where the posterior's `logvar` is `None`, `mu` is a point: the gradient of `-log p(z)`.
#[derive(Debug)]
pub struct PriorBackward<'a> {
    /// Means, or points.
    pub mu: &'a Buffer,
    /// Log variances; `None` for points.
    pub logvar: Option<&'a Buffer>,
    /// With the prior; its weight and free nats apply.
    pub kl_term: KlTerm<'a>,
    /// Factor of the gradient.
    pub scale: f32,
    /// `[per_sample]` f32, added to.
    pub d_mean: &'a Buffer,
    /// `[per_sample]` f32, added to.
    pub d_logvar: &'a Buffer,
    /// Extents.
    pub shape: GaussianShape,
}

impl PriorBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "prior_backward";
        check::floats(OP, "mu", self.mu, self.shape.len())?;
        if let Some(logvar) = self.logvar {
            check::floats(OP, "logvar", logvar, self.shape.len())?;
        }
        self.kl_term.check(OP, &self.shape)?;
        let trained = self.kl_term.prior.is_some();
        check::value(OP, trained, || "N(0, I) has no gradient, expected a prior".into())?;
        check::value(OP, self.logvar.is_some() || self.kl_term.free == 0.0, || {
            "free nats need a posterior, and this is a point".into()
        })?;
        check::floats(OP, "d_mean", self.d_mean, self.shape.per_sample())?;
        check::floats(OP, "d_logvar", self.d_logvar, self.shape.per_sample())?;
        let mut inputs = vec![self.mu];
        inputs.extend(self.logvar);
        inputs.extend(GaussianPrior::buffers(&self.kl_term.prior));
        check::distinct(OP, &[self.d_mean, self.d_logvar], &inputs)
    }
}
