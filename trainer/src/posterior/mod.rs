//! The fast loop: inference of `q(z|x) = N(mu, exp(logvar))` for each sequence by AdamW steps
//! on the negative ELBO (Algorithm 1, lines of the fast learning), or by another of the methods of
//! [`crate::config::Method`].

pub mod method;
pub mod prior;
mod settings;
mod start;
pub mod store;

#[cfg(test)]
mod tests;

pub use settings::{expect_kernels, inference_settings};
pub use start::{Draw, Start, draw_prior, draw_start};

use std::sync::atomic::{AtomicBool, Ordering};

use ltm_autograd::Segment;
use ltm_engine::Device;
use ltm_engine::ops::AdamWStep;

use crate::config::{FastConfig, Method};
use crate::graphs::Part;
use crate::passes::Passes;
use crate::schedule::{TrajectorySteps, fast_lr};
use crate::workspace::Workspace;
use crate::{Error, Result};

/// What each fast step saw before it moved; in training also what the slow step saw, at the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FastTrace {
    /// `[steps][B]` nats of the sequences.
    pub nll: Vec<Vec<f64>>,
    /// `[steps][B]` nats; `-log p(z)` where the method has a point in place of a posterior.
    pub kl: Vec<Vec<f64>>,
}

impl FastTrace {
    /// From `[steps, 2, batch]` numbers as the device keeps them.
    pub fn new(numbers: &[f64], batch: usize) -> Self {
        let mut trace = Self::default();
        for row in numbers.chunks_exact((2 * batch).max(1)) {
            let (nll, kl) = row.split_at(batch);
            trace.nll.push(nll.to_vec());
            trace.kl.push(kl.to_vec());
        }
        trace
    }
}

/// Which fast steps add weight gradients.
#[derive(Clone, Copy, Debug)]
pub enum WeightGradients<'a> {
    /// None: validation, inference, and the `paper` reading.
    None,
    /// Those drawn for this iteration.
    At(&'a TrajectorySteps),
}

/// The optimiser constants of every fast step, the first at learning rate `peak`. Of methods other
/// than AdamW only the learning rate counts, and beta1 as the momentum; the rate of Langevin
/// dynamics is its constant step size.
pub fn schedule(fast: &FastConfig, peak: f64) -> impl Iterator<Item = AdamWStep> {
    (0..fast.steps).map(move |step| AdamWStep {
        lr: match fast.method {
            Method::Langevin => fast.langevin_step,
            _ => fast_lr(fast, step, peak),
        },
        beta1: match fast.method {
            Method::Sgd => fast.momentum,
            _ => fast.beta1,
        },
        beta2: fast.beta2,
        eps: fast.eps,
        weight_decay: fast.weight_decay,
        number: step as u64 + 1,
    })
}

/// Computes the prefix of the loaded batch and the first z, clears the optimiser's moments, and goes
/// to the first step of the schedule.
///
/// # Errors
/// If the device fails.
pub fn begin(device: &mut dyn Device, passes: &Passes, workspace: &Workspace) -> Result<()> {
    passes.prefix.run(Segment::Forward, device)?;
    method::inference(workspace.method).begin(device, workspace)
}

/// One fast step from the present z, at the present step of the workspace's schedule; afterwards
/// `workspace.kl` holds the KL from before it and `workspace.token_nll` the losses at the z from
/// before it, both are in the trace, and the next step is due. Nothing in it depends on which step
/// it is but what lies in device memory.
///
/// # Errors
/// If the device fails.
pub fn fast_step(
    device: &mut dyn Device,
    passes: &Passes,
    workspace: &Workspace,
    weights: bool,
) -> Result<()> {
    let with_weights = passes.training.as_ref().and_then(|t| t.fast_with_weights.as_ref());
    let (program, scale) = match (weights, with_weights) {
        (true, Some((program, scale))) => (program, *scale),
        _ => (&passes.fast, 1.0),
    };
    program.run(Segment::All, device)?;
    method::inference(workspace.method).step(device, workspace, 1.0 / scale)?;
    Ok(workspace.record(device)?)
}

/// Runs the whole fast loop on the loaded batch from the mu, logvar and eps of the workspace,
/// and leaves the inferred posterior, its z, its KL and the trace of the steps there. Does not wait
/// for the device. `stop` is looked at before each step.
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
) -> Result<()> {
    settings::expect_loop(device, workspace, fast)?;
    if workspace.reserve(device, fast.steps)? {
        passes.graphs.forget();
    }
    workspace.set_schedule(device, schedule(fast, peak))?;
    workspace.method = fast.method;
    let inference = method::inference(fast.method);
    let (graphs, workspace) = (&passes.graphs, &*workspace);
    graphs.run(device, Part::Begin, |device| begin(device, passes, workspace))?;
    for step in 0..fast.steps {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let with_weights = match weights {
            WeightGradients::None => false,
            WeightGradients::At(steps) => steps.contains(step),
        };
        let part = if with_weights { Part::FastWithWeights } else { Part::Fast };
        let body = |device: &mut dyn Device| fast_step(device, passes, workspace, with_weights);
        inference.before(device, workspace, step)?;
        graphs.run(device, part, body)?;
        inference.after(device, workspace, step)?;
    }
    finish(device, workspace)
}

/// Computes the KL of the present posterior; `-log p(z)` where the method has a point instead.
///
/// # Errors
/// If the device fails or has no kernel for it.
pub fn finish(device: &mut dyn Device, workspace: &Workspace) -> Result<()> {
    method::inference(workspace.method).finish(device, workspace)
}
