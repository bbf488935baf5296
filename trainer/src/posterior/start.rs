//! Where the fast loop starts: random numbers keyed on (seed, site, sample, iteration).

use ltm_engine::Device;
use ltm_engine::ops::Normal;

use crate::Result;
use crate::config::PosteriorConfig;
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
            site: site + self.site_offset,
            iteration: self.iteration,
            first_sample: self.first_sample,
            samples: workspace.shape.batch,
            per_sample: workspace.gaussian.per_sample(),
            mean: mean as f32,
            std: std as f32,
        }
    }
}

/// Draws mu, logvar and eps: `mu ~ mu_std N(0,1)`, `logvar ~ logvar_mean + logvar_std N(0,1)`.
///
/// # Errors
/// If the device fails.
pub fn draw_start(
    device: &mut dyn Device,
    workspace: &Workspace,
    start: &PosteriorConfig,
    draw: Draw,
) -> Result<()> {
    let mu = (0.0, start.mu_std);
    let logvar = (start.logvar_mean, start.logvar_std);
    device.normal(&draw.normal(workspace, &workspace.mu, sites::MU0, mu))?;
    device.normal(&draw.normal(workspace, &workspace.logvar, sites::LOGVAR0, logvar))?;
    device.normal(&draw.normal(workspace, &workspace.eps, sites::EPS, (0.0, 1.0)))?;
    Ok(())
}

/// Draws z itself from the prior N(0, I).
///
/// # Errors
/// If the device fails.
pub fn draw_prior(device: &mut dyn Device, workspace: &Workspace, draw: Draw) -> Result<()> {
    // One draw per sample in (layer, latent) order, so that z does not depend on the batch.
    device.normal(&draw.normal(workspace, &workspace.eps, sites::PRIOR, (0.0, 1.0)))?;
    device.zero(&workspace.mu)?;
    device.zero(&workspace.logvar)?;
    device.gaussian_reparameterise(&ltm_engine::ops::GaussianReparameterise {
        mu: &workspace.mu,
        logvar: &workspace.logvar,
        eps: &workspace.eps,
        z: &workspace.z,
        shape: workspace.gaussian,
    })?;
    Ok(())
}
