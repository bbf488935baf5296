//! The fast loop: inference of `q(z|x) = N(mu, exp(logvar))` for each sequence by AdamW steps
//! on the negative ELBO (Algorithm 1, lines of the fast learning).

mod settings;
mod start;

pub use settings::inference_settings;
pub use start::{Draw, draw_prior, draw_start};

use std::sync::atomic::{AtomicBool, Ordering};

use ltm_autograd::Segment;
use ltm_engine::Device;
use ltm_engine::ops::{AdamWStep, GaussianKl, GaussianReparameterise, GaussianUpdate};

use crate::config::FastConfig;
use crate::passes::Passes;
use crate::schedule::{TrajectorySteps, fast_lr};
use crate::workspace::Workspace;
use crate::{Error, Result};

/// What each fast step saw before it moved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FastTrace {
    /// `[steps][B]` nats of the sequences.
    pub nll: Vec<Vec<f64>>,
    /// `[steps][B]` nats.
    pub kl: Vec<Vec<f64>>,
}

/// Which fast steps add weight gradients.
#[derive(Clone, Copy, Debug)]
pub enum WeightGradients<'a> {
    /// None: validation, inference, and the `paper` reading.
    None,
    /// Those drawn for this iteration.
    At(&'a TrajectorySteps),
}

/// Computes the prefix of the loaded batch and the first z, and clears the Adam moments.
///
/// # Errors
/// If the device fails.
pub fn begin(device: &mut dyn Device, passes: &Passes, workspace: &Workspace) -> Result<()> {
    passes.prefix.run(Segment::Forward, device)?;
    device.zero(&workspace.mu_moments)?;
    device.zero(&workspace.logvar_moments)?;
    device.gaussian_reparameterise(&GaussianReparameterise {
        mu: &workspace.mu,
        logvar: &workspace.logvar,
        eps: &workspace.eps,
        z: &workspace.z,
        shape: workspace.gaussian,
    })?;
    Ok(())
}

/// One fast step from the present z; afterwards `workspace.kl` holds the KL from before it and
/// `workspace.token_nll` the losses at the z from before it.
///
/// # Errors
/// If the device fails.
pub fn fast_step(
    device: &mut dyn Device,
    passes: &Passes,
    workspace: &Workspace,
    fast: &FastConfig,
    (step, peak): (usize, f64),
    weights: bool,
) -> Result<()> {
    let with_weights = passes.training.as_ref().and_then(|t| t.fast_with_weights.as_ref());
    let (program, scale) = match (weights, with_weights) {
        (true, Some((program, scale))) => (program, *scale),
        _ => (&passes.fast, 1.0),
    };
    program.run(Segment::All, device)?;
    device.gaussian_update(&GaussianUpdate {
        d_z: &workspace.d_z,
        d_z_scale: 1.0 / scale,
        eps: &workspace.eps,
        mu: &workspace.mu,
        logvar: &workspace.logvar,
        mu_moments: &workspace.mu_moments,
        logvar_moments: &workspace.logvar_moments,
        kl: &workspace.kl,
        z: &workspace.z,
        step: AdamWStep {
            lr: fast_lr(fast, step, peak),
            beta1: fast.beta1,
            beta2: fast.beta2,
            eps: fast.eps,
            weight_decay: fast.weight_decay,
            number: step as u64 + 1,
        },
        shape: workspace.gaussian,
    })?;
    Ok(())
}

/// Runs the whole fast loop on the loaded batch from the mu, logvar and eps of the workspace,
/// and leaves the inferred posterior, its z and its KL there. `stop` is looked at before each
/// step.
///
/// # Errors
/// [`Error::Interrupted`], or a failing device.
pub fn infer(
    device: &mut dyn Device,
    passes: &Passes,
    workspace: &mut Workspace,
    fast: &FastConfig,
    peak: f64,
    weights: WeightGradients<'_>,
    stop: &AtomicBool,
) -> Result<FastTrace> {
    begin(device, passes, workspace)?;
    let mut trace = FastTrace::default();
    for step in 0..fast.steps {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let with_weights = match weights {
            WeightGradients::None => false,
            WeightGradients::At(steps) => steps.contains(step),
        };
        fast_step(device, passes, workspace, fast, (step, peak), with_weights)?;
        trace.nll.push(workspace.sequence_nll(device)?);
        trace.kl.push(workspace.sequence_kl(device)?);
    }
    finish(device, workspace)?;
    Ok(trace)
}

/// Computes the KL of the present posterior.
///
/// # Errors
/// If the device fails.
pub fn finish(device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
    Ok(device.gaussian_kl(&GaussianKl {
        mu: &workspace.mu,
        logvar: &workspace.logvar,
        kl: &workspace.kl,
        shape: workspace.gaussian,
    })?)
}
