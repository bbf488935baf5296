//! Fast updates other than AdamW against N(0, I), which is
//! [`GaussianUpdate`](super::GaussianUpdate).

use super::latent_prior::{GaussianPrior, KlTerm};
use super::{ADAMW_CONSTANTS, GaussianShape, GaussianUpdate, check};
use crate::{Buffer, DType, Result};

/// How a gradient moves `mu` and `logvar`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescentRule {
    /// As [`GaussianUpdate`].
    AdamW,
    /// `v = beta1 v + g`, `p -= lr v`, with lr and beta1 of the step; `v` is the first moment.
    Momentum,
    /// Along the gradient in the metric of the Gaussian, whose Fisher information is
    /// `exp(-logvar)` for mu and 1/2 for logvar: `mu -= lr exp(logvar) d_mu`, and to first order
    /// `logvar -= 2 lr d_logvar`, both with the logvar from before the step. The step in logvar
    /// follows the improved Bayesian learning rule (Lin, Schmidt and Khan, ICML 2020, section 3):
    /// with `g = 2 lr d_logvar` the precision is multiplied by `1 + g + g^2 / 2`, which is never
    /// below 1/2, so that no gradient, however large, makes a variance overflow.
    Natural,
}

/// A whole fast update of `loss(z) + kl_term`: the true KL of the posterior as it was, the
/// gradients, a step of the rule on `mu` and `logvar`, and the new `z`.
#[derive(Debug)]
pub struct GaussianDescent<'a> {
    /// How the gradients are used.
    pub rule: DescentRule,
    /// What stands beside the loss.
    pub kl_term: KlTerm<'a>,
    /// All else.
    pub update: GaussianUpdate<'a>,
}

impl GaussianDescent<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "gaussian_descent";
        self.update.check()?;
        self.kl_term.check(OP, &self.update.shape)?;
        let u = &self.update;
        let outputs = [u.mu, u.logvar, u.mu_moments, u.logvar_moments, u.kl, u.z];
        let inputs: Vec<&Buffer> = GaussianPrior::buffers(&self.kl_term.prior).collect();
        check::distinct(OP, &outputs, &inputs)
    }
}

/// A step of Langevin dynamics on the point z of each sequence (equation 4 of the paper):
/// `z += s (grad log p(x|z) + weight grad log p(z)) + sqrt(2 s) noise`, with the learning rate of
/// the step as s.
#[derive(Debug)]
pub struct Langevin<'a> {
    /// Layer-major gradient of the loss, `-log p(x|z)`.
    pub d_z: &'a Buffer,
    /// Factor of `d_z`: undoes the scale at which the loss was differentiated.
    pub d_z_scale: f32,
    /// The prior; `None` is N(0, I).
    pub prior: Option<GaussianPrior<'a>>,
    /// Factor of `log p(z)`.
    pub weight: f32,
    /// `[samples, layers, per_layer]` f32: a standard normal draw of this step's own.
    pub noise: &'a Buffer,
    /// `[samples, layers, per_layer]` f32: z, updated.
    pub point: &'a Buffer,
    /// `[samples]` f64, overwritten: `-log p(z)` before the step, nats, constants included.
    pub neg_log_prior: &'a Buffer,
    /// Layer-major latents, overwritten with those after the step.
    pub z: &'a Buffer,
    /// `[steps * 9]` f32: [`super::AdamWStep::constants`] of every step; only the rate is used.
    pub schedule: &'a Buffer,
    /// `[samples]` i32: the step that each sequence is at, below `steps`.
    pub step: &'a Buffer,
    /// Rows of the schedule.
    pub steps: usize,
    /// Extents.
    pub shape: GaussianShape,
}

impl Langevin<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "langevin";
        let n = self.shape.len();
        let t = check::storage(OP, "d_z", self.d_z)?;
        check::buffer(OP, "d_z", self.d_z, t, n)?;
        check::floats(OP, "noise", self.noise, n)?;
        check::floats(OP, "point", self.point, n)?;
        check::buffer(OP, "z", self.z, t, n)?;
        check::buffer(OP, "neg_log_prior", self.neg_log_prior, DType::F64, self.shape.samples)?;
        check::floats(OP, "schedule", self.schedule, self.steps.saturating_mul(ADAMW_CONSTANTS))?;
        check::integers(OP, "step", self.step, self.shape.samples)?;
        check::value(OP, self.weight.is_finite() && self.weight >= 0.0, || {
            format!("weight of the prior is {}, expected 0 or above", self.weight)
        })?;
        if let Some(prior) = &self.prior {
            prior.check(OP, &self.shape)?;
        }
        let mut inputs = vec![self.d_z, self.noise, self.schedule, self.step];
        inputs.extend(GaussianPrior::buffers(&self.prior));
        check::distinct(OP, &[self.point, self.neg_log_prior, self.z], &inputs)
    }
}
