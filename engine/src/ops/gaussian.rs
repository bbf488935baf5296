//! The Gaussian posterior `q(z|x) = N(mu, exp(logvar))` and its prior `N(0, I)`.
//!
//! `mu`, `logvar` and `eps` are `[samples, layers, per_layer]` (`per_layer` = latents per
//! layer times width). `z` is layer-major, `[layers, samples, per_layer]`, so that the latents
//! of one layer are one contiguous matrix for its key and value projections. `z` and its gradient
//! are in the storage type; everything else is f32, but for the KL in f64.

use super::{ADAMW_CONSTANTS, check};
use crate::{Buffer, DType, Result};

/// Extents shared by the passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaussianShape {
    /// Sequences.
    pub samples: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Latent numbers of one sequence in one layer.
    pub per_layer: usize,
}

impl GaussianShape {
    /// Latent numbers of one sequence.
    pub const fn per_sample(&self) -> usize {
        self.layers * self.per_layer
    }

    /// Latent numbers in all.
    pub const fn len(&self) -> usize {
        self.samples * self.per_sample()
    }

    /// True where there are no latents at all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// `z = mu + eps * exp(logvar / 2)`.
#[derive(Debug)]
pub struct GaussianReparameterise<'a> {
    /// Means.
    pub mu: &'a Buffer,
    /// Log variances.
    pub logvar: &'a Buffer,
    /// Standard normal draw.
    pub eps: &'a Buffer,
    /// Layer-major latents, overwritten.
    pub z: &'a Buffer,
    /// Extents.
    pub shape: GaussianShape,
}

impl GaussianReparameterise<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "gaussian_reparameterise";
        let n = self.shape.len();
        check::floats(OP, "mu", self.mu, n)?;
        check::floats(OP, "logvar", self.logvar, n)?;
        check::floats(OP, "eps", self.eps, n)?;
        let t = check::storage(OP, "z", self.z)?;
        check::buffer(OP, "z", self.z, t, n)?;
        check::distinct(OP, &[self.z], &[self.mu, self.logvar, self.eps])
    }
}

/// `kl[s] = 0.5 * sum(mu^2 + exp(logvar) - logvar - 1)` over the latents of sample `s`, nats.
#[derive(Debug)]
pub struct GaussianKl<'a> {
    /// Means.
    pub mu: &'a Buffer,
    /// Log variances.
    pub logvar: &'a Buffer,
    /// `[samples]` f64, overwritten.
    pub kl: &'a Buffer,
    /// Extents.
    pub shape: GaussianShape,
}

impl GaussianKl<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "gaussian_kl";
        check::floats(OP, "mu", self.mu, self.shape.len())?;
        check::floats(OP, "logvar", self.logvar, self.shape.len())?;
        check::buffer(OP, "kl", self.kl, DType::F64, self.shape.samples)?;
        check::distinct(OP, &[self.kl], &[self.mu, self.logvar])
    }
}

/// Gradients of `loss(z) + sum(kl)`:
/// `d_mu = d_z + mu`, `d_logvar = d_z * eps * exp(logvar/2) / 2 + (exp(logvar) - 1) / 2`.
#[derive(Debug)]
pub struct GaussianBackward<'a> {
    /// Layer-major gradient of the loss.
    pub d_z: &'a Buffer,
    /// Means.
    pub mu: &'a Buffer,
    /// Log variances.
    pub logvar: &'a Buffer,
    /// The draw that made z.
    pub eps: &'a Buffer,
    /// Overwritten.
    pub d_mu: &'a Buffer,
    /// Overwritten.
    pub d_logvar: &'a Buffer,
    /// Extents.
    pub shape: GaussianShape,
}

impl GaussianBackward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "gaussian_backward";
        let n = self.shape.len();
        let t = check::storage(OP, "d_z", self.d_z)?;
        check::buffer(OP, "d_z", self.d_z, t, n)?;
        check::floats(OP, "mu", self.mu, n)?;
        check::floats(OP, "logvar", self.logvar, n)?;
        check::floats(OP, "eps", self.eps, n)?;
        check::floats(OP, "d_mu", self.d_mu, n)?;
        check::floats(OP, "d_logvar", self.d_logvar, n)?;
        let inputs = [self.d_z, self.mu, self.logvar, self.eps];
        check::distinct(OP, &[self.d_mu, self.d_logvar], &inputs)
    }
}

/// A whole fast update: the KL of the posterior as it was, the gradients of
/// [`GaussianBackward`], an AdamW step on `mu` and `logvar`, and the new `z`.
#[derive(Debug)]
pub struct GaussianUpdate<'a> {
    /// Layer-major gradient of the loss.
    pub d_z: &'a Buffer,
    /// Factor of `d_z`: undoes the scale at which the loss was differentiated.
    pub d_z_scale: f32,
    /// The draw that made z and makes the new one.
    pub eps: &'a Buffer,
    /// Means, updated.
    pub mu: &'a Buffer,
    /// Log variances, updated.
    pub logvar: &'a Buffer,
    /// `[2, samples * per_sample]` f32: first and second moment of `mu`, updated.
    pub mu_moments: &'a Buffer,
    /// The same for `logvar`.
    pub logvar_moments: &'a Buffer,
    /// `[samples]` f64, overwritten: KL before the step.
    pub kl: &'a Buffer,
    /// Layer-major latents, overwritten with those after the step.
    pub z: &'a Buffer,
    /// `[steps * 9]` f32: [`super::AdamWStep::constants`] of every step of the loop.
    pub schedule: &'a Buffer,
    /// `[samples]` i32: the step that each sequence is at, below `steps`; [`super::Trace`] counts.
    pub step: &'a Buffer,
    /// Rows of the schedule.
    pub steps: usize,
    /// Extents.
    pub shape: GaussianShape,
}

impl GaussianUpdate<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "gaussian_update";
        let n = self.shape.len();
        let t = check::storage(OP, "d_z", self.d_z)?;
        check::buffer(OP, "d_z", self.d_z, t, n)?;
        check::floats(OP, "eps", self.eps, n)?;
        check::floats(OP, "mu", self.mu, n)?;
        check::floats(OP, "logvar", self.logvar, n)?;
        check::floats(OP, "mu_moments", self.mu_moments, 2 * n)?;
        check::floats(OP, "logvar_moments", self.logvar_moments, 2 * n)?;
        check::buffer(OP, "z", self.z, t, n)?;
        check::buffer(OP, "kl", self.kl, DType::F64, self.shape.samples)?;
        let constants = self.steps.saturating_mul(ADAMW_CONSTANTS);
        check::floats(OP, "schedule", self.schedule, constants)?;
        check::integers(OP, "step", self.step, self.shape.samples)?;
        let outputs = [self.mu, self.logvar, self.mu_moments, self.logvar_moments, self.kl, self.z];
        check::distinct(OP, &outputs, &[self.d_z, self.eps, self.schedule, self.step])
    }
}
