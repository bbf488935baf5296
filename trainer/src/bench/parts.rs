//! Where the time of an iteration goes.

use ltm_engine::Mark;
use serde::Serialize;

use crate::graphs::Part;
use crate::plan::{Plan, Room};
use crate::trainer::NEVER;
use crate::{Result, Trainer};

/// A part of an iteration, all its runs together.
#[derive(Clone, Debug, Serialize)]
pub struct PartTime {
    /// Its name.
    pub part: &'static str,
    /// Runs of it in an iteration.
    pub runs: f64,
    /// Seconds of them in an iteration, the mean over iterations.
    pub seconds: f64,
    /// FLOPs of them; 0 where no products are.
    pub flops: f64,
}

/// Iterations, part by part.
#[derive(Clone, Debug, Serialize)]
pub struct Iterations {
    /// Tokens of an iteration.
    pub tokens: usize,
    /// Sequences held at once.
    pub micro_batch: usize,
    /// Seconds of each iteration, in order, on the clock of the device.
    pub seconds: Vec<f64>,
    /// The parts, and as the last the rest: random numbers, copies, and waiting for the host.
    pub parts: Vec<PartTime>,
    /// FLOPs of an iteration.
    pub flops: f64,
    /// Mean loss of the last, nats per token.
    pub loss: f64,
}

impl Iterations {
    /// Runs `warm_up` iterations that are not timed, by which everything is recorded, and then
    /// `count` that are, on the batches of `next`.
    ///
    /// # Errors
    /// Of the trainer and of `next`.
    pub fn measure<E: From<crate::Error>>(
        trainer: &mut Trainer,
        (warm_up, count): (u64, u64),
        mut next: impl FnMut(u64) -> std::result::Result<(Vec<i32>, Vec<i32>), E>,
    ) -> std::result::Result<Self, E> {
        let (mut ends, mut parts, mut loss) = (Vec::new(), Vec::new(), f64::NAN);
        let (mut tokens_of_one, total) = (0, warm_up + count);
        for iteration in 0..total {
            let (tokens, targets) = next(iteration)?;
            tokens_of_one = tokens.len();
            if iteration < warm_up {
                trainer.iterate(iteration, &tokens, &targets, &NEVER)?;
                continue;
            }
            trainer.passes.graphs.watch();
            trainer.post_tokens(&tokens, &targets)?;
            let from = mark(trainer)?;
            let begun = trainer.begin(iteration, None, &NEVER)?;
            ends.push((from, mark(trainer)?));
            loss = trainer.finish(begun)?.loss;
            parts.extend(trainer.passes.graphs.watched(trainer.device.as_mut())?);
        }
        let device = trainer.device.as_mut();
        let seconds = ends.iter().map(|(from, to)| device.seconds_between(from, to));
        let seconds =
            seconds.collect::<ltm_engine::Result<Vec<f64>>>().map_err(crate::Error::from)?;
        let config = &trainer.config;
        let plan = Plan::new(config, Room::boundless(device.processor()), &[])?;
        let parts = summed(&parts, &plan, &seconds);
        let micro_batch = config.micro_batch();
        let flops = plan.work.iteration;
        Ok(Self { tokens: tokens_of_one, micro_batch, seconds, parts, flops, loss })
    }

    /// The median of the iterations.
    pub fn median(&self) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

fn mark(trainer: &mut Trainer) -> Result<Mark> {
    Ok(trainer.device.mark()?)
}

fn summed(parts: &[(Part, f64)], plan: &Plan, seconds: &[f64]) -> Vec<PartTime> {
    const ALL: [Part; 5] =
        [Part::Begin, Part::Fast, Part::FastWithWeights, Part::Slow, Part::Update];
    let (work, count) = (&plan.work, seconds.len().max(1) as f64);
    let flops = |part| match part {
        Part::Begin => work.prefix.forward.total(),
        Part::Fast => (work.fast_steps - work.steps_with_weights) as f64 * work.fast.total(),
        Part::FastWithWeights => work.steps_with_weights as f64 * work.fast_with_weights.total(),
        Part::Slow => work.slow.total() + work.prefix.backward.total(),
        Part::Update => 0.0,
    };
    let mut all = Vec::new();
    let mut rest = seconds.iter().sum::<f64>() / count;
    for part in ALL {
        let of: Vec<f64> = parts.iter().filter(|(p, _)| *p == part).map(|(_, s)| *s).collect();
        if of.is_empty() {
            continue;
        }
        let seconds = of.iter().sum::<f64>() / count;
        rest -= seconds;
        let runs = of.len() as f64 / count;
        all.push(PartTime { part: part.name(), runs, seconds, flops: flops(part) });
    }
    all.push(PartTime { part: "the rest", runs: 1.0, seconds: rest, flops: 0.0 });
    all
}
