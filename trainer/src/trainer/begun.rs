//! Iterations that are queued, and whose figures come back later.

use std::sync::atomic::AtomicBool;

use ltm_engine::{Buffer, HostBlock, Transfer, profile};

use super::{IterationReport, Totals, Trainer, inbox};
use crate::config::PosteriorConfig;
use crate::posterior::prior::weighted_kl;
use crate::posterior::store::Visit;
use crate::posterior::{Draw, FastTrace, draw_start};
use crate::schedule::{TrajectorySteps, fast_peak, kl_weight, slow_lr};
use crate::workspace::trace_len;
use crate::{Error, Result};

/// An iteration that the device has been asked for.
#[derive(Debug)]
pub struct Begun {
    iteration: u64,
    tokens: usize,
    slow_lr: f64,
    fast_lr: f64,
    /// Sum of the weighted KL, nats, where that is not the KL.
    weighted: Option<f64>,
    traces: Transfer,
    clip: Transfer,
}

impl Begun {
    /// Whether its figures are there.
    pub fn is_over(&self) -> bool {
        self.traces.is_over() && self.clip.is_over()
    }
}

impl Trainer {
    /// Memory of the host for a batch, to be filled with [`inbox::arrange`] and posted.
    ///
    /// # Errors
    /// If the host has none left.
    pub fn blank(&mut self) -> Result<HostBlock> {
        let [slot, _] = self.inbox.buffers();
        let bytes = slot.byte_len();
        Ok(self.device.host_block(bytes)?)
    }

    /// Sends the batch of a coming iteration, which travels while the present one runs.
    ///
    /// # Errors
    /// [`Error::Batches`] if two are posted already; else if the device fails.
    pub fn post(&mut self, block: HostBlock) -> Result<()> {
        match self.inbox.has_room() {
            true => Ok(self.inbox.post(self.device.as_mut(), block)?),
            false => Err(Error::Batches { posted: self.inbox.waiting() }),
        }
    }

    /// Sends a batch of `tokens` and `targets` `[batch, T]`.
    ///
    /// # Errors
    /// As [`Trainer::post`].
    pub fn post_tokens(&mut self, tokens: &[i32], targets: &[i32]) -> Result<()> {
        let mut block = match self.spare()? {
            Some(block) => block,
            None => self.blank()?,
        };
        let rows = self.workspace.shape.rows();
        inbox::arrange(bytemuck::cast_slice_mut(&mut block), tokens, targets, rows);
        self.post(block)
    }

    /// Batches that are posted and not yet used.
    pub fn posted(&self) -> usize {
        self.inbox.waiting()
    }

    /// A block whose batch has been used.
    ///
    /// # Errors
    /// What went wrong on the device meanwhile.
    pub fn spare(&mut self) -> Result<Option<HostBlock>> {
        Ok(self.inbox.spare(self.device.as_mut())?)
    }

    /// Asks the device for an iteration on the oldest posted batch. Waits for nothing, unless a
    /// `visit` or the weight of the KL wants figures of each micro-batch.
    ///
    /// # Errors
    /// [`Error::Batches`] if none is posted. [`Error::Interrupted`] if `stop` was set: the weights
    /// are those from before the iteration, and posted batches are forgotten. Else if the device
    /// fails.
    pub fn begin(
        &mut self,
        iteration: u64,
        visit: Option<&mut Visit<'_>>,
        stop: &AtomicBool,
    ) -> Result<Begun> {
        let _range = profile::range(c"iteration");
        let Some(batch) = self.inbox.open(self.device.as_mut())? else {
            return Err(Error::Batches { posted: 0 });
        };
        let begun = self.begin_on(iteration, &batch, visit, stop);
        if begun.is_err() {
            self.inbox.clear();
        }
        begun
    }

    fn begin_on(
        &mut self,
        iteration: u64,
        batch: &Buffer,
        mut visit: Option<&mut Visit<'_>>,
        stop: &AtomicBool,
    ) -> Result<Begun> {
        let shape = self.workspace.shape;
        let fast_lr = fast_peak(&self.config, iteration);
        let trajectory = TrajectorySteps::draw(&self.config, iteration);
        let start = PosteriorConfig {
            kl_weight: kl_weight(&self.config, iteration),
            ..self.config.posterior.clone()
        };
        let mut weighted = start.is_weighted().then_some(0.0);
        self.zero_gradients()?;
        let tokens = batch.len() / 3;
        for index in 0..tokens / shape.rows() {
            let parts = inbox::parts(batch, shape, index)?;
            self.workspace.take(self.device.as_mut(), &parts)?;
            let draw = Draw {
                seed: self.config.train.seed,
                iteration: iteration as u32,
                first_sample: (index * shape.batch) as u32,
                site_offset: 0,
            };
            draw_start(self.device.as_mut(), &self.workspace, &start, draw)?;
            if let Some(visit) = &mut visit {
                visit.begin(self.device.as_mut(), &self.workspace, index * shape.batch)?;
            }
            self.accumulate(fast_lr, &trajectory, stop)?;
            self.keep_trace(index)?;
            if let Some(visit) = &mut visit {
                visit.note(self.device.as_mut(), &self.workspace)?;
            }
            if let Some(weighted) = &mut weighted {
                *weighted += weighted_kl(self.device.as_mut(), &self.workspace)?;
            }
        }
        let slow_lr = slow_lr(&self.config, iteration);
        self.update((slow_lr, iteration + 1))?;
        let traces = self.traces.clone();
        let (traces, clip) = (self.fetch(&traces)?, self.fetch_clip()?);
        Ok(Begun { iteration, tokens, slow_lr, fast_lr, weighted, traces, clip })
    }

    fn fetch(&mut self, from: &Buffer) -> Result<Transfer> {
        let fits = |block: &HostBlock| block.len() >= from.byte_len();
        let block = match self.mail.iter().position(fits) {
            Some(at) => self.mail.swap_remove(at),
            None => self.device.host_block(from.byte_len())?,
        };
        Ok(self.device.fetch(from, block)?)
    }

    fn fetch_clip(&mut self) -> Result<Transfer> {
        let clip = self.update.clip_buffer().clone();
        self.fetch(&clip)
    }

    /// What an iteration found. Waits for it, and not for what was asked for later.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a loss or the gradient is not finite, and the weights must not be
    /// saved; else what went wrong on the device.
    pub fn finish(&mut self, begun: Begun) -> Result<IterationReport> {
        let Begun { iteration, tokens, slow_lr, fast_lr, weighted, traces, clip } = begun;
        let (steps, batch) = (self.config.fast.steps, self.workspace.shape.batch);
        let traces = self.device.recover(traces)?;
        let clip = self.device.recover(clip)?;
        let mut totals = Totals::new(steps);
        let numbers: &[f64] = bytemuck::cast_slice(&traces[..self.traces.byte_len()]);
        for trace in numbers.chunks_exact(trace_len(steps, batch)) {
            totals.add(&FastTrace::new(trace, batch));
        }
        let [norm, factor] = [0, 1].map(|i| bytemuck::cast_slice::<u8, f64>(&clip[..16])[i]);
        self.mail.extend([traces, clip]);
        let finite = totals.check(iteration).and_then(|()| match norm.is_finite() {
            true => Ok(()),
            false => Err(Error::Diverged { iteration, what: "gradient norm", value: norm }),
        });
        if let Err(error) = finite {
            // An index that is out of range makes a loss NaN too, and says more.
            self.device.synchronize()?;
            return Err(error);
        }
        let mut report = totals.per_token(tokens);
        report.objective = weighted.map(|kl| report.loss + kl / tokens as f64);
        report.slow_lr = slow_lr;
        report.fast_lr = fast_lr;
        report.grad_norm = norm;
        report.clip_factor = factor;
        Ok(report)
    }
}
