//! Ways to infer the latents of a sequence, one small trait for all of them.

use ltm_engine::Device;
use ltm_engine::ops::{
    DescentRule, GaussianDescent, GaussianUpdate, Langevin as LangevinStep, PriorDivergence,
};

use crate::Result;
use crate::config::{Method, Noise};
use crate::posterior::start::{draw_step_noise, reparameterise};
use crate::workspace::Workspace;

/// One way to move the latents of the sequences of a workspace towards their texts. The schedule,
/// the gradient of the losses and the numbers that are moved lie in the workspace.
pub trait Inference: Sync {
    /// Computes the first z from the start, and forgets what an earlier loop remembered.
    ///
    /// # Errors
    /// If the device fails.
    fn begin(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()>;

    /// Writes what z costs beside the loss, before the step, into `workspace.kl`: the KL of the
    /// posterior, or `-log p(z)` of a point. Then moves from the gradient in `workspace.d_z`, times
    /// `scale`, and computes the next z.
    ///
    /// # Errors
    /// If the device fails or has no kernel for it.
    fn step(&self, device: &mut dyn Device, workspace: &Workspace, scale: f32) -> Result<()>;

    /// What differs from step to step, so that no recording may hold it, before fast step `step`
    /// (from 0).
    ///
    /// # Errors
    /// If the device fails.
    fn before(&self, device: &mut dyn Device, workspace: &Workspace, step: usize) -> Result<()> {
        let _ = (device, workspace, step);
        Ok(())
    }

    /// The same after it.
    ///
    /// # Errors
    /// If the device fails.
    fn after(&self, device: &mut dyn Device, workspace: &Workspace, step: usize) -> Result<()> {
        let _ = (device, workspace, step);
        Ok(())
    }

    /// Writes what the present z costs beside the loss into `workspace.kl`.
    ///
    /// # Errors
    /// If the device fails or has no kernel for it.
    fn finish(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()>;
}

/// The inference of a setting.
pub fn inference(method: Method) -> &'static dyn Inference {
    match method {
        Method::Adamw => &Variational(DescentRule::AdamW),
        Method::Sgd => &Variational(DescentRule::Momentum),
        Method::Natural => &Variational(DescentRule::Natural),
        Method::Langevin => &Langevin,
    }
}

/// Descent on mu and logvar of a Gaussian posterior.
struct Variational(DescentRule);

impl Inference for Variational {
    fn begin(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
        device.zero(&workspace.mu_moments)?;
        device.zero(&workspace.logvar_moments)?;
        device.zero(&workspace.step)?;
        reparameterise(device, workspace)
    }

    fn step(&self, device: &mut dyn Device, workspace: &Workspace, scale: f32) -> Result<()> {
        let update = GaussianUpdate {
            d_z: &workspace.d_z,
            d_z_scale: scale,
            eps: &workspace.eps,
            mu: &workspace.mu,
            logvar: &workspace.logvar,
            mu_moments: &workspace.mu_moments,
            logvar_moments: &workspace.logvar_moments,
            kl: &workspace.kl,
            z: &workspace.z,
            schedule: &workspace.schedule,
            step: &workspace.step,
            steps: workspace.steps,
            shape: workspace.gaussian,
        };
        let kl_term = workspace.kl_term()?;
        let plain = kl_term.prior.is_none() && kl_term.weight == 1.0 && kl_term.free == 0.0;
        // The one that GPUs have a kernel for.
        if self.0 == DescentRule::AdamW && plain {
            return Ok(device.gaussian_update(&update)?);
        }
        Ok(device.gaussian_descent(&GaussianDescent { rule: self.0, kl_term, update })?)
    }

    fn after(&self, device: &mut dyn Device, workspace: &Workspace, step: usize) -> Result<()> {
        if workspace.start.get().noise == Noise::Fixed {
            return Ok(());
        }
        draw_step_noise(device, workspace, step)?;
        reparameterise(device, workspace)
    }

    fn finish(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
        workspace.prior()?.kl(device, workspace)
    }
}

/// Langevin dynamics (equation 4 of the paper): `z += s grad log p(x, z) + sqrt(2 s) noise`. The
/// workspace's mu is the point z; its logvar is not used.
struct Langevin;

impl Inference for Langevin {
    fn begin(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
        device.zero(&workspace.step)?;
        // No noise of a posterior: z is mu.
        device.zero(&workspace.eps)?;
        device.zero(&workspace.logvar)?;
        reparameterise(device, workspace)
    }

    fn step(&self, device: &mut dyn Device, workspace: &Workspace, scale: f32) -> Result<()> {
        let kl_term = workspace.kl_term()?;
        Ok(device.langevin(&LangevinStep {
            d_z: &workspace.d_z,
            d_z_scale: scale,
            prior: kl_term.prior,
            weight: kl_term.weight,
            noise: &workspace.eps,
            point: &workspace.mu,
            neg_log_prior: &workspace.kl,
            z: &workspace.z,
            schedule: &workspace.schedule,
            step: &workspace.step,
            steps: workspace.steps,
            shape: workspace.gaussian,
        })?)
    }

    fn before(&self, device: &mut dyn Device, workspace: &Workspace, step: usize) -> Result<()> {
        draw_step_noise(device, workspace, step)
    }

    fn finish(&self, device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
        Ok(device.prior_divergence(&PriorDivergence {
            mu: &workspace.mu,
            logvar: None,
            prior: workspace.prior()?.gaussian(),
            kl: &workspace.kl,
            shape: workspace.gaussian,
        })?)
    }
}
