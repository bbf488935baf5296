//! Where the fast loop starts: random numbers keyed on (seed, site, sample, iteration).

use ltm_engine::Device;
use ltm_engine::ops::{GaussianReparameterise, Normal};

use crate::Result;
use crate::config::{Noise, PosteriorConfig};
use crate::sites;
use crate::workspace::Workspace;

/// Which random numbers a batch gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// Training iteration.
    pub iteration: u32,
    /// Index of the first sequence in the whole batch.
    pub first_sample: u32,
    /// Added to the sites; 0 in training.
    pub site_offset: u32,
}

/// What a fast loop remembers of how its batch was started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// Which random numbers the batch gets.
    pub draw: Draw,
    /// How often its noise is drawn.
    pub noise: Noise,
    /// Factor of the KL.
    pub kl_weight: f64,
    /// Nats of each latent vector's KL that cost nothing.
    pub free_bits: f64,
}

impl Default for Start {
    fn default() -> Self {
        let draw = Draw { seed: 0, iteration: 0, first_sample: 0, site_offset: 0 };
        Self { draw, noise: Noise::Fixed, kl_weight: 1.0, free_bits: 0.0 }
    }
}

impl Draw {
    fn normal<'a>(
        &self,
        workspace: &Workspace,
        out: &'a ltm_engine::Buffer,
        site: u32,
        (mean, std): (f64, f64),
    ) -> Normal<'a> {
        Normal {
            out,
            seed: self.seed,
            site: site.wrapping_add(self.site_offset),
            iteration: self.iteration,
            first_sample: self.first_sample,
            samples: workspace.shape.batch,
            per_sample: workspace.gaussian.per_sample(),
            mean: mean as f32,
            std: std as f32,
        }
    }
}

/// Draws mu, logvar and eps: `mu ~ mu_std N(0,1)`, `logvar ~ logvar_mean + logvar_std N(0,1)`. The
/// workspace remembers the noise, the KL weight and the free bits of `start` for the loop.
///
/// # Errors
/// If the device fails.
pub fn draw_start(
    device: &mut dyn Device,
    workspace: &Workspace,
    start: &PosteriorConfig,
    draw: Draw,
) -> Result<()> {
    workspace.start.set(Start {
        draw,
        noise: start.noise,
        kl_weight: start.kl_weight,
        free_bits: start.free_bits,
    });
    let mu = (0.0, start.mu_std);
    let logvar = (start.logvar_mean, start.logvar_std);
    device.normal(&draw.normal(workspace, &workspace.mu, sites::MU0, mu))?;
    device.normal(&draw.normal(workspace, &workspace.logvar, sites::LOGVAR0, logvar))?;
    device.normal(&draw.normal(workspace, &workspace.eps, sites::EPS, (0.0, 1.0)))?;
    Ok(())
}

/// Draws the eps of fast step `step` (from 0) of the loop that was started last.
///
/// # Errors
/// If the device fails.
pub(super) fn draw_step_noise(
    device: &mut dyn Device,
    workspace: &Workspace,
    step: usize,
) -> Result<()> {
    let draw = workspace.start.get().draw;
    let normal = draw.normal(workspace, &workspace.eps, sites::step_noise(step), (0.0, 1.0));
    Ok(device.normal(&normal)?)
}

/// `z = mu + eps exp(logvar / 2)` from what the workspace holds.
///
/// # Errors
/// If the device fails.
pub(super) fn reparameterise(device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
    Ok(device.gaussian_reparameterise(&GaussianReparameterise {
        mu: &workspace.mu,
        logvar: &workspace.logvar,
        eps: &workspace.eps,
        z: &workspace.z,
        shape: workspace.gaussian,
    })?)
}

/// Draws z itself from the prior.
///
/// # Errors
/// If the device fails, or the prior is learned and the workspace does not know it
/// ([`Workspace::know_prior`]).
pub fn draw_prior(device: &mut dyn Device, workspace: &Workspace, draw: Draw) -> Result<()> {
    // One draw per sample in (layer, latent) order, so that z does not depend on the batch.
    device.normal(&draw.normal(workspace, &workspace.eps, sites::PRIOR, (0.0, 1.0)))?;
    workspace.prior()?.draw(device, workspace)
}
