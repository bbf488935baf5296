//! One iteration of the fast-slow algorithm (Algorithm 1 of the paper), micro-batch by
//! micro-batch.

use std::sync::atomic::AtomicBool;

use ltm_autograd::Segment;
use ltm_engine::Device;

use crate::config::Config;
use crate::decoder_update::{Clip, DecoderUpdate};
use crate::model::{BatchShape, Parameters};
use crate::passes::{PassPlan, Passes, Purpose};
use crate::plan::{Fit, Room};
use crate::posterior::{
    Draw, FastTrace, WeightGradients, begin, draw_start, fast_step, finish, infer,
};
use crate::schedule::{TrajectorySteps, fast_peak, slow_lr};
use crate::workspace::Workspace;
use crate::{Error, Result};

/// For callers that never interrupt.
pub static NEVER: AtomicBool = AtomicBool::new(false);

/// Everything on the device that training needs.
pub struct Trainer {
    /// The device.
    pub device: Box<dyn Device>,
    /// Settings.
    pub config: Config,
    /// Weights, gradients, moments.
    pub parameters: Parameters,
    /// Buffers of a micro-batch.
    pub workspace: Workspace,
    /// Recorded programs.
    pub passes: Passes,
    update: DecoderUpdate,
}

/// What an iteration found, before its update. Nats per token, means over the batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IterationReport {
    /// Mean token cross-entropy at the inferred z: the slow loss.
    pub loss: f64,
    /// KL of the inferred posterior.
    pub kl: f64,
    /// nll before each fast step.
    pub fast_nll: Vec<f64>,
    /// KL before each fast step.
    pub fast_kl: Vec<f64>,
    /// Learning rate of the slow step.
    pub slow_lr: f64,
    /// Peak learning rate of the fast loop.
    pub fast_lr: f64,
    /// Norm of the weights' gradient before clipping.
    pub grad_norm: f64,
    /// Factor of clipping.
    pub clip_factor: f64,
}

impl Trainer {
    /// Allocates everything; weights are zero until they are initialised or loaded. On a GPU
    /// nothing is allocated later, and every kernel is loaded. An automatic `train.micro_batch`
    /// is replaced by what was chosen.
    ///
    /// # Errors
    /// [`crate::plan::PlanError::DoesNotFit`] before anything is allocated, if the device has too
    /// little memory; or settings that it does not compute with.
    pub fn new(mut device: Box<dyn Device>, mut config: Config) -> Result<Self> {
        let fit = Fit::of(&config, Room::of(device.as_ref()))?;
        config.train.micro_batch = fit.micro_batch;
        let shape = BatchShape { batch: config.micro_batch(), seq: config.seq_len() };
        let storage = config.storage();
        let plan = PassPlan::record(&config, shape, Purpose::Training)?;
        let parameters = Parameters::zeroed(device.as_mut(), &config.model, (storage, true))?;
        let workspace = Workspace::new(device.as_mut(), &config.model, shape, (storage, true))?;
        let passes = plan.allocate(device.as_mut(), &parameters, &workspace)?;
        let update = DecoderUpdate::new(device.as_mut(), &parameters)?;
        let mut trainer = Self { device, config, parameters, workspace, passes, update };
        trainer.device.reserve(&fit.memory.scratch_blocks)?;
        if trainer.device.rehearse(true) {
            let rehearsed = trainer.rehearse();
            trainer.device.rehearse(false);
            rehearsed?;
        }
        Ok(trainer)
    }

    /// What an iteration does, on a device that rehearses.
    fn rehearse(&mut self) -> Result<()> {
        self.passes.rehearse(self.device.as_mut())?;
        let start = &self.config.posterior;
        let draw = Draw { seed: 0, iteration: 0, first_sample: 0, site_offset: 0 };
        draw_start(self.device.as_mut(), &self.workspace, start, draw)?;
        let step = (0, self.config.fast.lr);
        begin(self.device.as_mut(), &self.passes, &self.workspace)?;
        fast_step(
            self.device.as_mut(),
            &self.passes,
            &self.workspace,
            &self.config.fast,
            step,
            false,
        )?;
        finish(self.device.as_mut(), &self.workspace)?;
        self.measure()?;
        self.apply((0.0, 1))
    }

    /// Forgets the gradient of the last iteration.
    ///
    /// # Errors
    /// If the device fails.
    pub fn zero_gradients(&mut self) -> Result<()> {
        let training = self.parameters.training.as_ref().ok_or(Error::Frozen)?;
        Ok(self.device.zero(&training.gradients)?)
    }

    /// Adds the gradients of the loaded micro-batch, whose posterior starts from the mu, logvar
    /// and eps of the workspace. Returns the trace of the fast loop, and nll and KL of each
    /// sequence at the inferred z.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if `stop` was set, or a failing device.
    pub fn accumulate(
        &mut self,
        peak: f64,
        trajectory: &TrajectorySteps,
        stop: &AtomicBool,
    ) -> Result<(FastTrace, Vec<f64>, Vec<f64>)> {
        let device = self.device.as_mut();
        let trace = infer(
            device,
            &self.passes,
            &mut self.workspace,
            &self.config.fast,
            peak,
            WeightGradients::At(trajectory),
            stop,
        )?;
        let training = self.passes.training.as_ref().ok_or(Error::Frozen)?;
        training.slow.run(Segment::All, device)?;
        self.passes.prefix.run(Segment::Backward, device)?;
        let nll = self.workspace.sequence_nll(device)?;
        let kl = self.workspace.sequence_kl(device)?;
        Ok((trace, nll, kl))
    }

    /// Measures and applies the accumulated gradient of `iteration`. Nothing is applied if the
    /// gradient is not finite.
    ///
    /// # Errors
    /// [`Error::Diverged`], or a failing device.
    pub fn update(&mut self, iteration: u64) -> Result<(Clip, f64)> {
        let clip = self.measure()?;
        if !clip.norm.is_finite() {
            return Err(Error::Diverged { iteration, what: "gradient norm", value: clip.norm });
        }
        let lr = slow_lr(&self.config, iteration);
        self.apply((lr, iteration + 1))?;
        Ok((clip, lr))
    }

    /// Norm and clipping factor of the accumulated gradient.
    ///
    /// # Errors
    /// If the device fails.
    pub fn measure(&mut self) -> Result<Clip> {
        self.update.measure(self.device.as_mut(), &self.parameters, &self.config.slow)
    }

    /// Applies the measured gradient at a learning rate, as step `number` from 1.
    ///
    /// # Errors
    /// If the device fails.
    pub fn apply(&mut self, (lr, number): (f64, u64)) -> Result<()> {
        let slow = &self.config.slow;
        self.update.apply(self.device.as_mut(), &self.parameters, slow, (lr, number))
    }

    /// One iteration on `tokens` and `targets` `[batch, T]`.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a loss or the gradient is not finite, [`Error::Interrupted`] if
    /// `stop` was set; the weights are then those from before the iteration.
    pub fn iterate(
        &mut self,
        iteration: u64,
        tokens: &[i32],
        targets: &[i32],
        stop: &AtomicBool,
    ) -> Result<IterationReport> {
        let shape = self.workspace.shape;
        let peak = fast_peak(&self.config, iteration);
        let trajectory = TrajectorySteps::draw(&self.config, iteration);
        let mut totals = Totals::new(self.config.fast.steps);
        self.zero_gradients()?;
        let rows = shape.rows();
        for (index, (tokens, targets)) in
            tokens.chunks_exact(rows).zip(targets.chunks_exact(rows)).enumerate()
        {
            self.workspace.load(self.device.as_mut(), tokens, targets)?;
            let draw = Draw {
                seed: self.config.train.seed,
                iteration: iteration as u32,
                first_sample: (index * shape.batch) as u32,
                site_offset: 0,
            };
            let start = &self.config.posterior;
            draw_start(self.device.as_mut(), &self.workspace, start, draw)?;
            let (trace, nll, kl) = self.accumulate(peak, &trajectory, stop)?;
            totals.add(&trace, &nll, &kl);
            totals.check(iteration)?;
        }
        let (clip, lr) = self.update(iteration)?;
        let mut report = totals.per_token(tokens.len());
        report.slow_lr = lr;
        report.fast_lr = peak;
        report.grad_norm = clip.norm;
        report.clip_factor = clip.factor;
        Ok(report)
    }
}

/// Sums over the sequences of a batch, nats.
#[derive(Clone, Debug)]
pub struct Totals {
    nll: f64,
    kl: f64,
    fast_nll: Vec<f64>,
    fast_kl: Vec<f64>,
}

impl Totals {
    /// Nothing yet, for loops of `steps` fast steps.
    pub fn new(steps: usize) -> Self {
        Self { nll: 0.0, kl: 0.0, fast_nll: vec![0.0; steps], fast_kl: vec![0.0; steps] }
    }

    /// Adds sequences; `trace`, `nll` and `kl` have one entry per sequence.
    pub fn add(&mut self, trace: &FastTrace, nll: &[f64], kl: &[f64]) {
        self.nll += nll.iter().sum::<f64>();
        self.kl += kl.iter().sum::<f64>();
        for (total, step) in self.fast_nll.iter_mut().zip(&trace.nll) {
            *total += step[..nll.len()].iter().sum::<f64>();
        }
        for (total, step) in self.fast_kl.iter_mut().zip(&trace.kl) {
            *total += step[..kl.len()].iter().sum::<f64>();
        }
    }

    /// Every sum is finite.
    ///
    /// # Errors
    /// [`Error::Diverged`].
    pub fn check(&self, iteration: u64) -> Result<()> {
        let parts = [
            ("nll at the inferred z", self.nll),
            ("KL", self.kl),
            ("nll of the fast loop", self.fast_nll.iter().sum()),
            ("KL of the fast loop", self.fast_kl.iter().sum()),
        ];
        match parts.into_iter().find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((what, value)) => Err(Error::Diverged { iteration, what, value }),
        }
    }

    /// Means over `tokens` tokens.
    pub fn per_token(&self, tokens: usize) -> IterationReport {
        let mean = |x: f64| x / tokens as f64;
        IterationReport {
            loss: mean(self.nll),
            kl: mean(self.kl),
            fast_nll: self.fast_nll.iter().copied().map(mean).collect(),
            fast_kl: self.fast_kl.iter().copied().map(mean).collect(),
            ..IterationReport::default()
        }
    }
}

#[cfg(test)]
mod tests;
