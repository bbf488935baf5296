//! The distribution of the latents before a text is seen.

use std::f64::consts::TAU;

use ltm_engine::ops::{GaussianKl, GaussianPrior, KlTerm, PriorBackward, PriorDivergence};
use ltm_engine::{Buffer, Device, DeviceExt};

use crate::Result;
use crate::model::Parameters;
use crate::posterior::start::reparameterise;
use crate::workspace::Workspace;

/// A prior p(z) of the latents of every sequence, numbers in (layer, latent, width) order.
pub trait Prior {
    /// What operations take of it; `None` for N(0, I).
    fn gaussian(&self) -> Option<GaussianPrior<'_>>;

    /// Writes the KL of the present posterior from it into `workspace.kl`.
    ///
    /// # Errors
    /// If the device fails or has no kernel for it.
    fn kl(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()>;

    /// Turns the standard normal numbers in `workspace.eps` into a draw from it in `workspace.z`.
    ///
    /// # Errors
    /// If the device fails.
    fn draw(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()>;

    /// Adds `scale` times the gradient of the workspace's KL term with respect to the prior, summed
    /// over its sequences, to the parameters' gradient.
    ///
    /// # Errors
    /// If the device fails or has no kernel for it.
    fn backward(&self, device: &mut dyn Device, workspace: &Workspace, scale: f64) -> Result<()>;
}

/// N(0, I), with nothing to learn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standard;

impl Prior for Standard {
    fn gaussian(&self) -> Option<GaussianPrior<'_>> {
        None
    }

    fn kl(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
        Ok(device.gaussian_kl(&GaussianKl {
            mu: &workspace.mu,
            logvar: &workspace.logvar,
            kl: &workspace.kl,
            shape: workspace.gaussian,
        })?)
    }

    fn draw(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
        device.zero(&workspace.mu)?;
        device.zero(&workspace.logvar)?;
        reparameterise(device, workspace)
    }

    fn backward(&self, _: &mut dyn Device, _: &Workspace, _: f64) -> Result<()> {
        Ok(())
    }
}

/// A diagonal Gaussian whose mean and log variance are parameters of the model.
#[derive(Clone, Debug)]
pub struct Learned {
    /// `[N, D]` f32, in the parameters' memory.
    mean: Buffer,
    /// The same for the log variance.
    logvar: Buffer,
    /// Gradients of both; absent where nothing is trained.
    gradients: Option<[Buffer; 2]>,
}

impl Learned {
    /// The prior among `parameters`; `None` where it is N(0, I).
    ///
    /// # Errors
    /// None for parameters as they are allocated.
    pub fn of(parameters: &Parameters) -> ltm_engine::Result<Option<Self>> {
        let Some([mean, logvar]) = parameters.layout.prior() else { return Ok(None) };
        let gradients = match &parameters.training {
            None => None,
            Some(training) => Some([
                training.gradients.slice(mean.clone())?,
                training.gradients.slice(logvar.clone())?,
            ]),
        };
        Ok(Some(Self {
            mean: parameters.values.slice(mean)?,
            logvar: parameters.values.slice(logvar)?,
            gradients,
        }))
    }
}

impl Prior for Learned {
    fn gaussian(&self) -> Option<GaussianPrior<'_>> {
        Some(GaussianPrior { mean: &self.mean, logvar: &self.logvar })
    }

    fn kl(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
        Ok(device.prior_divergence(&PriorDivergence {
            mu: &workspace.mu,
            logvar: Some(&workspace.logvar),
            prior: self.gaussian(),
            kl: &workspace.kl,
            shape: workspace.gaussian,
        })?)
    }

    fn draw(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
        let n = workspace.gaussian.per_sample();
        for sample in 0..workspace.gaussian.samples {
            let own = sample * n..(sample + 1) * n;
            device.copy(&self.mean, &workspace.mu.slice(own.clone())?)?;
            device.copy(&self.logvar, &workspace.logvar.slice(own)?)?;
        }
        reparameterise(device, workspace)
    }

    fn backward(&self, device: &mut dyn Device, workspace: &Workspace, scale: f64) -> Result<()> {
        let Some([d_mean, d_logvar]) = &self.gradients else { return Ok(()) };
        let point = workspace.method.is_point();
        Ok(device.prior_backward(&PriorBackward {
            mu: &workspace.mu,
            logvar: (!point).then_some(&workspace.logvar),
            kl_term: workspace.kl_term()?,
            scale: scale as f32,
            d_mean,
            d_logvar,
            shape: workspace.gaussian,
        })?)
    }
}

/// A prior in host memory, for what is computed there.
#[derive(Clone, Debug, PartialEq)]
pub struct HostPrior {
    /// `[N, D]`, in (layer, latent, width) order, as mu of a sequence is.
    pub mean: Vec<f32>,
    /// `[N, D]`: log variances.
    pub logvar: Vec<f32>,
}

impl HostPrior {
    /// N(0, I) over `numbers` latent numbers.
    pub fn standard(numbers: usize) -> Self {
        Self { mean: vec![0.0; numbers], logvar: vec![0.0; numbers] }
    }

    /// The prior of a model with `numbers` latent numbers, `model.latents * model.dim`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read(device: &mut dyn Device, parameters: &Parameters, numbers: usize) -> Result<Self> {
        Ok(match Learned::of(parameters)? {
            None => Self::standard(numbers),
            Some(prior) => {
                Self { mean: device.read(&prior.mean)?, logvar: device.read(&prior.logvar)? }
            }
        })
    }

    /// That of the model a workspace serves.
    ///
    /// # Errors
    /// As [`Workspace::prior`], or if the device fails.
    pub fn of(device: &mut dyn Device, workspace: &Workspace) -> Result<Self> {
        Ok(match workspace.prior()?.gaussian() {
            None => Self::standard(workspace.gaussian.per_sample()),
            Some(p) => Self { mean: device.read(p.mean)?, logvar: device.read(p.logvar)? },
        })
    }

    /// `log p(z)` of one sequence, nats, in f64; `z` is `[N, D]` in the order of the prior (that of
    /// mu; the latents that passes read are layer-major over the batch).
    pub fn log_density(&self, z: impl IntoIterator<Item = f64>) -> f64 {
        let term = |(z, (&mean, &logvar)): (f64, (&f32, &f32))| {
            let (distance, logvar) = (z - f64::from(mean), f64::from(logvar));
            distance * distance * (-logvar).exp() + logvar + TAU.ln()
        };
        let prior = self.mean.iter().zip(&self.logvar);
        -0.5 * z.into_iter().zip(prior).map(term).sum::<f64>()
    }

    /// KL of `N(mu, exp(logvar))` of one sequence from the prior, for each latent vector of `width`
    /// numbers, nats, in f64.
    pub fn vector_kls(&self, mu: &[f32], logvar: &[f32], width: usize) -> Vec<f64> {
        let term = |i: usize| {
            let (distance, prior) = (f64::from(mu[i]) - f64::from(self.mean[i]), self.logvar(i));
            let ratio = f64::from(logvar[i]) - prior;
            0.5 * (distance * distance * (-prior).exp() + ratio.exp() - ratio - 1.0)
        };
        let vector = |start: usize| (start..(start + width).min(mu.len())).map(term).sum();
        (0..mu.len()).step_by(width.max(1)).map(vector).collect()
    }

    fn logvar(&self, i: usize) -> f64 {
        f64::from(self.logvar[i])
    }
}

/// `weight * sum_j max(free, kl_j)` of the present posterior's latent vectors, summed over the
/// sequences of the workspace, nats; for points `-weight log p(z)`. Waits for the device.
///
/// # Errors
/// If the device fails.
pub fn weighted_kl(device: &mut dyn Device, workspace: &Workspace) -> Result<f64> {
    let KlTerm { weight, free, width, .. } = workspace.kl_term()?;
    let weight = f64::from(weight);
    if free == 0.0 || workspace.method.is_point() {
        return Ok(weight * workspace.sequence_kl(device)?.iter().sum::<f64>());
    }
    let n = workspace.gaussian.per_sample();
    let host = HostPrior::of(device, workspace)?;
    let (mu, logvar): (Vec<f32>, Vec<f32>) =
        (device.read(&workspace.mu)?, device.read(&workspace.logvar)?);
    let sequences = mu.chunks_exact(n.max(1)).zip(logvar.chunks_exact(n.max(1)));
    let cost = |(mu, logvar)| {
        host.vector_kls(mu, logvar, width).into_iter().map(|kl| kl.max(free)).sum::<f64>()
    };
    Ok(weight * sequences.map(cost).sum::<f64>())
}
