//! One iteration of the fast-slow algorithm (Algorithm 1 of the paper), micro-batch by
//! micro-batch.

mod begun;
mod inbox;

pub use begun::Begun;
pub use inbox::{arrange, sort_rows};

use std::sync::atomic::AtomicBool;

use ltm_autograd::Segment;
use ltm_engine::{Buffer, DType, Device, HostBlock};

use crate::config::Config;
use crate::decoder_update::{Clip, DecoderUpdate};
use crate::graphs::Part;
use crate::model::{BatchShape, Parameters};
use crate::passes::{PassPlan, Passes, Purpose};
use crate::plan::{Fit, Room};
use crate::posterior::store::Visit;
use crate::posterior::{
    Draw, FastTrace, WeightGradients, begin, draw_start, expect_kernels, fast_step, finish, infer,
};
use crate::schedule::TrajectorySteps;
use crate::workspace::{Workspace, trace_len};
use crate::{Error, Result};
use inbox::Inbox;

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
    /// `[micro-batches, steps + 1, 2, B]` f64: the traces of an iteration.
    traces: Buffer,
    inbox: Inbox,
    /// Memory of the host that figures come back in.
    mail: Vec<HostBlock>,
}

/// What an iteration found, before its update. Nats per token, means over the batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IterationReport {
    /// Mean token cross-entropy at the inferred z: the slow loss.
    pub loss: f64,
    /// KL of the inferred posterior; `-log p(z)` where `fast.method` has a point in its place.
    pub kl: f64,
    /// What was minimised, with the weight of the KL in this iteration and the free bits; `None`
    /// where that is the bound.
    pub objective: Option<f64>,
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
        expect_kernels(device.as_ref(), &config)?;
        let fit = Fit::of(&config, Room::of(device.as_ref()))?;
        config.train.micro_batch = fit.micro_batch;
        let shape = BatchShape { batch: config.micro_batch(), seq: config.seq_len() };
        let storage = config.storage();
        let plan = PassPlan::record(&config, shape, Purpose::Training, device.processor())?;
        let parameters = Parameters::zeroed(device.as_mut(), &config.model, (storage, true))?;
        let (kind, steps) = ((storage, true), config.fast.steps);
        let workspace = Workspace::new(device.as_mut(), &config.model, shape, kind, steps)?;
        let passes = plan.allocate(device.as_mut(), &parameters, &workspace)?;
        let update = DecoderUpdate::new(device.as_mut(), &parameters)?;
        let traces = device.alloc(DType::F64, traces_len(&config, shape))?;
        let inbox = Inbox::new(device.as_mut(), &config)?;
        let mail = Vec::new();
        let mut trainer =
            Self { device, config, parameters, workspace, passes, update, traces, inbox, mail };
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
        let Self { device, config, parameters, workspace, passes, update, .. } = self;
        let device = device.as_mut();
        passes.rehearse(device)?;
        let draw = Draw { seed: 0, iteration: 0, first_sample: 0, site_offset: 0 };
        draw_start(device, workspace, &config.posterior, draw)?;
        begin(device, passes, workspace)?;
        fast_step(device, passes, workspace, false)?;
        finish(device, workspace)?;
        update.measure(device, parameters, &config.slow)?;
        update.apply(device, parameters)
    }

    /// Batches on their way to the device.
    pub(crate) fn batches(&self) -> &[Buffer] {
        self.inbox.buffers()
    }

    /// Bytes of the batches of `config` on the device.
    pub(crate) fn batch_bytes(config: &Config) -> usize {
        Inbox::bytes(config)
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
    /// and eps of the workspace. Leaves nll and KL of each sequence before each fast step and at
    /// the inferred z in the trace of the workspace. Does not wait for the device.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if `stop` was set, or a failing device.
    pub fn accumulate(
        &mut self,
        peak: f64,
        trajectory: &TrajectorySteps,
        stop: &AtomicBool,
    ) -> Result<()> {
        let device = self.device.as_mut();
        infer(
            device,
            &self.passes,
            &mut self.workspace,
            &self.config.fast,
            peak,
            WeightGradients::At(trajectory),
            stop,
        )?;
        let (passes, workspace) = (&self.passes, &self.workspace);
        let training = passes.training.as_ref().ok_or(Error::Frozen)?;
        passes.graphs.run(device, Part::Slow, |device| {
            training.slow.run(Segment::All, device)?;
            workspace.record(device)?;
            Ok(passes.prefix.run(Segment::Backward, device)?)
        })?;
        // The bound of the batch per token, as the slow loss is.
        let tokens = self.config.train.batch * workspace.shape.seq;
        workspace.prior()?.backward(device, workspace, 1.0 / tokens as f64)
    }

    /// The trace of the last micro-batch: a row for each fast step, and one for the inferred z.
    /// Waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn trace(&mut self) -> Result<FastTrace> {
        Ok(self.workspace.read_trace(self.device.as_mut(), self.config.fast.steps + 1)?)
    }

    /// Measures the accumulated gradient and applies it at a learning rate, as step `number` from
    /// 1. Nothing is applied if the gradient is not finite. Does not wait for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn update(&mut self, step: (f64, u64)) -> Result<()> {
        let Self { device, parameters, update, passes, config, .. } = self;
        let (device, slow) = (device.as_mut(), &config.slow);
        update.set_step(device, slow, step)?;
        passes.graphs.run(device, Part::Update, |device| {
            update.measure(device, parameters, slow)?;
            update.apply(device, parameters)
        })
    }

    /// Norm and clipping factor of the gradient of the last update. Waits for the device.
    ///
    /// # Errors
    /// [`Error::Diverged`] if that is not finite, or a failing device.
    pub fn clip(&mut self, iteration: u64) -> Result<Clip> {
        let clip = self.update.clip(self.device.as_mut())?;
        if !clip.norm.is_finite() {
            return Err(Error::Diverged { iteration, what: "gradient norm", value: clip.norm });
        }
        Ok(clip)
    }

    /// One iteration on `tokens` and `targets` `[batch, T]`. Waits for the device once, when all of
    /// it is queued.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a loss or the gradient is not finite, and the weights must not be
    /// saved; where it is the gradient, they are those from before the iteration, as they are for
    /// [`Error::Interrupted`], if `stop` was set.
    pub fn iterate(
        &mut self,
        iteration: u64,
        tokens: &[i32],
        targets: &[i32],
        stop: &AtomicBool,
    ) -> Result<IterationReport> {
        self.iterate_on(iteration, (tokens, targets), None, stop)
    }

    /// As [`Trainer::iterate`] on the sequences of a [`Visit`], which start from their last
    /// posteriors and keep the new ones if the iteration comes to its end.
    ///
    /// # Errors
    /// As [`Trainer::iterate`], and [`crate::posterior::store::StoreError`].
    pub fn iterate_on(
        &mut self,
        iteration: u64,
        (tokens, targets): (&[i32], &[i32]),
        mut visit: Option<Visit<'_>>,
        stop: &AtomicBool,
    ) -> Result<IterationReport> {
        self.inbox.clear();
        self.post_tokens(tokens, targets)?;
        let begun = self.begin(iteration, visit.as_mut(), stop)?;
        let report = self.finish(begun)?;
        if let Some(visit) = visit {
            visit.keep()?;
        }
        Ok(report)
    }

    /// Puts the trace of micro-batch `index` aside.
    fn keep_trace(&mut self, index: usize) -> Result<()> {
        let len = trace_len(self.config.fast.steps, self.workspace.shape.batch);
        let kept = self.traces.slice(index * len..(index + 1) * len)?;
        Ok(self.device.copy(&self.workspace.trace.slice(0..len)?, &kept)?)
    }
}

/// Numbers in the traces of all micro-batches of an iteration.
pub(crate) fn traces_len(config: &Config, shape: BatchShape) -> usize {
    let micro_batches = (config.train.batch / shape.batch.max(1)).max(1);
    micro_batches * trace_len(config.fast.steps, shape.batch)
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

    /// Adds the sequences of a trace, whose last row is that of the inferred z.
    pub fn add(&mut self, trace: &FastTrace) {
        let sums = |steps: &[Vec<f64>]| -> Vec<f64> {
            steps.iter().map(|step| step.iter().sum()).collect()
        };
        let add = |end: &mut f64, totals: &mut [f64], sums: Vec<f64>| {
            totals.iter_mut().chain([end]).zip(sums).for_each(|(total, sum)| *total += sum);
        };
        add(&mut self.nll, &mut self.fast_nll, sums(&trace.nll));
        add(&mut self.kl, &mut self.fast_kl, sums(&trace.kl));
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
pub(crate) mod tests;
