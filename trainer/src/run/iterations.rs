//! The iterations of a run.
//!
//! On a device that does not wait, the host is one iteration ahead: while the device computes, the
//! next batch is read and sent, and the next iteration asked for; only then are the figures of the
//! one before waited for. Whatever looks at the weights, as a validation or a checkpoint, first waits
//! for the iteration that made them, so nothing is saved that was not seen to be finite.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::figures::metrics;
use super::resume::Start;
use super::{Event, Observer, Outcome, Run};
use crate::data::{Batch, DataError, Prefetch};
use crate::metrics::Timing;
use crate::posterior::store::Visit;
use crate::trainer::{Begun, IterationReport, arrange};
use crate::{Error, Result, resources};

/// Blocks of the host that batches travel in: two that the device has, and one that is filled.
const BLOCKS: usize = 3;

/// An iteration that was asked for.
struct Pending {
    iteration: u64,
    started: Instant,
    figures: Figures,
}

enum Figures {
    Here(Box<IterationReport>),
    Coming(Begun),
}

/// Batches that were sent, and from where they come.
pub(super) struct Batches {
    prefetch: Prefetch,
    /// Windows of each posted batch, and the position after it.
    posted: VecDeque<(Vec<u64>, u64)>,
}

impl Run<'_> {
    pub(super) fn iterate(
        mut self,
        start: &Start,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Outcome> {
        let total = self.options.config.train.iterations;
        let mut batches = self.batches()?;
        let mut iteration = start.iteration;
        let mut saved = start.checkpoint.is_some().then_some(start.iteration);
        let mut pending: Option<Pending> = None;
        while iteration < total && !stop.load(Ordering::Relaxed) {
            let started = Instant::now();
            let windows = match self.next_batch(&mut batches, iteration + 1 < total) {
                Ok(next) => next,
                Err(error) => {
                    self.conclude(pending.take(), observer, stop)?;
                    // What has been learned does not depend on the shard that is damaged.
                    if iteration > start.iteration && saved != Some(iteration) {
                        self.save(iteration, observer)?;
                    }
                    return Err(error);
                }
            };
            let figures = match self.begin(iteration, &windows.0, stop) {
                Ok(figures) => figures,
                // Nothing of an unfinished iteration is kept.
                Err(Error::Interrupted) => break,
                Err(error) => return Err(error),
            };
            self.position = windows.1;
            if let Some(block) = self.trainer.spare()? {
                batches.prefetch.give(block);
            }
            self.conclude(pending.take(), observer, stop)?;
            let asked = Pending { iteration, started, figures };
            match asked.is_here() || self.is_looked_at(iteration) {
                true => self.conclude(Some(asked), observer, stop)?,
                false => pending = Some(asked),
            }
            iteration += 1;
            if self.is_saved(iteration) {
                self.save(iteration, observer)?;
                saved = Some(iteration);
            }
        }
        self.conclude(pending, observer, stop)?;
        if saved != Some(iteration) {
            self.save(iteration, observer)?;
        }
        Ok(Outcome {
            iterations: iteration,
            finished: iteration >= total,
            checkpoint: self.checkpoint,
            validations: self.validations,
        })
    }

    /// Begins to read.
    fn batches(&mut self) -> Result<Batches> {
        let rows = self.trainer.workspace.shape.rows();
        let fill = move |block: &mut ltm_engine::HostBlock, tokens: &[i32], targets: &[i32]| {
            arrange(bytemuck::cast_slice_mut(block), tokens, targets, rows);
        };
        let batch = self.options.config.train.batch;
        let prefetch = Prefetch::new(self.loader.clone(), self.position, batch, fill)?;
        for _ in 0..BLOCKS {
            prefetch.give(self.trainer.blank()?);
        }
        Ok(Batches { prefetch, posted: VecDeque::new() })
    }

    /// Sends the batch of this iteration, unless that was done while the last one ran, and the one
    /// after it if it is `wanted` and has been read. The windows of this one, and the position after.
    fn next_batch(&mut self, batches: &mut Batches, wanted: bool) -> Result<(Vec<u64>, u64)> {
        let mut post = |batch: Batch, posted: &mut VecDeque<_>| {
            posted.push_back((batch.windows, batch.position));
            self.trainer.post(batch.block)
        };
        if batches.posted.is_empty() {
            post(batches.prefetch.next()?, &mut batches.posted)?;
        }
        if wanted
            && batches.posted.len() < 2
            && let Some(batch) = batches.prefetch.ready()
        {
            post(batch, &mut batches.posted)?;
        }
        Ok(batches.posted.pop_front().ok_or(DataError::LostThread)?)
    }

    /// Asks for an iteration. One that keeps posteriors is waited for.
    fn begin(&mut self, iteration: u64, windows: &[u64], stop: &AtomicBool) -> Result<Figures> {
        let mut visit = self.store.as_mut().map(|store| Visit::new(store, windows, iteration));
        let begun = self.trainer.begin(iteration, visit.as_mut(), stop)?;
        let Some(visit) = visit else { return Ok(Figures::Coming(begun)) };
        let report = self.trainer.finish(begun)?;
        visit.keep()?;
        Ok(Figures::Here(Box::new(report)))
    }

    /// Whether a validation or a text is due after an iteration.
    fn is_due(&self, every: u64, iteration: u64) -> bool {
        let last = iteration + 1 == self.options.config.train.iterations;
        every > 0 && (last || iteration == 0 || (iteration + 1).is_multiple_of(every))
    }

    /// Whether a checkpoint is due after so many iterations.
    fn is_saved(&self, iterations: u64) -> bool {
        let every = self.options.config.train.checkpoint_every;
        every > 0 && iterations.is_multiple_of(every)
    }

    /// Whether the weights that an iteration makes are looked at before the next one.
    fn is_looked_at(&self, iteration: u64) -> bool {
        let train = &self.options.config.train;
        self.is_due(train.validate_every, iteration)
            || self.is_due(train.sample_every, iteration)
            || self.is_saved(iteration + 1)
    }

    /// Waits for an iteration, writes down its figures, and does what is due after it.
    fn conclude(
        &mut self,
        pending: Option<Pending>,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<()> {
        let Some(Pending { iteration, started, figures }) = pending else { return Ok(()) };
        let report = match figures {
            Figures::Here(report) => *report,
            Figures::Coming(begun) => self.trainer.finish(begun)?,
        };
        // It was asked for while the one before ran.
        let started = self.concluded.map_or(started, |before| before.max(started));
        let seconds = started.elapsed().as_secs_f64();
        self.concluded = Some(Instant::now());
        let config = &self.options.config;
        let (train, point) = (&config.train, config.fast.method.is_point());
        let (total, tokens) = (train.iterations, train.batch * config.seq_len());
        let sampled = self.is_due(train.sample_every, iteration);
        let validation = match self.is_due(train.validate_every, iteration) {
            true => self.validate(iteration, stop)?,
            false => None,
        };
        if sampled {
            self.sample(iteration, observer, stop)?;
        }
        let seen = (iteration + 1) * tokens as u64;
        let metrics = metrics(iteration, seen, &report, point, validation);
        let timing = Timing {
            iteration,
            seconds,
            tokens_per_second: tokens as f64 / seconds,
            rss_bytes: resources::rss_bytes().unwrap_or(0),
        };
        self.log.append(&metrics, &timing)?;
        observer.event(Event::Iteration { metrics: &metrics, timing: &timing, total });
        Ok(())
    }
}

impl Pending {
    /// Whether there is nothing to wait for.
    fn is_here(&self) -> bool {
        match &self.figures {
            Figures::Here(_) => true,
            Figures::Coming(begun) => begun.is_over(),
        }
    }
}
