//! What a configuration needs, before anything is allocated: parameters, bytes, arithmetic, and
//! the time below which no implementation can get on a given machine.

mod error;
mod fit;
#[cfg(test)]
mod fit_tests;
mod gpu;
mod inference;
mod machine;
mod memory;
mod table;
#[cfg(test)]
mod tests;
mod work;

pub use error::PlanError;
pub use fit::{Fit, Room};
pub use inference::Inference;
pub use machine::Machine;
pub use memory::Memory;
pub(crate) use work::window_pairs;
pub use work::{Parts, Pass};

use serde::Serialize;

use crate::Result;
use crate::config::Config;
use crate::model::BatchShape;
use work::Gradients;

/// Parameters of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// For people.
    pub name: &'static str,
    /// Numbers.
    pub parameters: usize,
}

/// What an iteration computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// Sequences per iteration.
    pub sequences: usize,
    /// Sequences held at once.
    pub micro_batch: usize,
    /// Whether their number was chosen to fit the memory.
    pub automatic: bool,
    /// Tokens per sequence.
    pub seq_len: usize,
    /// Tokens per iteration.
    pub tokens: usize,
    /// Storage of activations.
    pub dtype: &'static str,
}

/// FLOPs over all sequences of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Work {
    /// The part that does not depend on z: once per iteration.
    pub prefix: Pass,
    /// A fast step with the gradient of z alone; nothing where there are no latents.
    pub fast: Pass,
    /// A fast step with the weights' gradients too.
    pub fast_with_weights: Pass,
    /// The pass at the inferred z, with the weights' gradients.
    pub slow: Pass,
    /// Fast steps per iteration.
    pub fast_steps: usize,
    /// Those of them with the weights' gradients.
    pub steps_with_weights: usize,
    /// The iteration.
    pub iteration: f64,
    /// `iteration` per token.
    pub per_token: f64,
    /// `iteration` in units of one forward pass through the whole decoder.
    pub forward_equivalents: f64,
}

/// The least time on a machine: arithmetic at its full rate, everything else free.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Floor {
    /// The machine.
    pub machine: Machine,
    /// Seconds per fast step without the weights' gradients.
    pub fast_step: f64,
    /// Seconds per iteration.
    pub iteration: f64,
    /// Tokens trained on per second.
    pub tokens_per_second: f64,
}

/// What training of a configuration needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Numbers to train.
    pub parameters: usize,
    /// The same by kind.
    pub groups: Vec<Group>,
    /// What an iteration computes on.
    pub batch: Batch,
    /// Bytes.
    pub memory: Memory,
    /// The memory there is for them; absent where none was asked about.
    pub room: Option<Room>,
    /// Why they do not fit, where they do not.
    pub refusal: Option<String>,
    /// FLOPs.
    pub work: Work,
    /// One for each machine asked about.
    pub floors: Vec<Floor>,
}

impl Plan {
    /// Plans the training of `config` in `room`, and its floors on `machines`.
    ///
    /// # Errors
    /// If the configuration is contradictory, or needs more than can be counted
    /// ([`PlanError::TooLarge`]). What does not fit is planned all the same.
    pub fn new(config: &Config, room: Room, machines: &[Machine]) -> Result<Self> {
        config.check()?;
        let (fit, refusal) = match Fit::of(config, room.clone()) {
            Err(crate::Error::Plan(error @ PlanError::DoesNotFit { .. })) => {
                let least = config.train.micro_batch.max(1);
                let memory = Memory::of(config, least, room.processor)?;
                (Fit { micro_batch: least, memory }, Some(error.to_string()))
            }
            fit => (fit?, None),
        };
        let memory = match room.memory {
            Some(_) => fit.memory,
            None => Memory::of(config, fit.micro_batch, room.processor)?,
        };
        let shape = |batch: usize| BatchShape { batch, seq: config.seq_len() };
        let (whole, micro) = (shape(config.train.batch), shape(fit.micro_batch));
        let work = Work::of(config, whole);
        let floor = |machine: &Machine| Floor {
            machine: machine.clone(),
            fast_step: work.fast.total() / machine.flops_per_second,
            iteration: work.iteration / machine.flops_per_second,
            tokens_per_second: machine.flops_per_second / work.per_token,
        };
        Ok(Self {
            parameters: config.parameter_count(),
            groups: groups(config),
            batch: Batch {
                sequences: whole.batch,
                micro_batch: micro.batch,
                automatic: config.train.micro_batch == 0,
                seq_len: whole.seq,
                tokens: whole.rows(),
                dtype: config.train.dtype.name(),
            },
            memory,
            room: room.memory.is_some().then_some(room),
            refusal,
            work,
            floors: machines.iter().map(floor).collect(),
        })
    }
}

impl Work {
    /// The work of an iteration of `config`, whatever its micro-batches and its device.
    pub fn of_iteration(config: &Config) -> Self {
        Self::of(config, BatchShape { batch: config.train.batch, seq: config.seq_len() })
    }

    fn of(config: &Config, shape: BatchShape) -> Self {
        let suffix =
            |latents, weights| work::suffix(&config.model, shape, Gradients { latents, weights });
        let prefix = work::prefix(&config.model, shape);
        let (fast, fast_with_weights) = match config.model.is_autoregressive() {
            true => (Pass::default(), Pass::default()),
            false => (suffix(true, false), suffix(true, true)),
        };
        let slow = suffix(false, true);
        let fast_steps = config.fast.steps;
        let steps_with_weights = config.trajectory_samples().min(fast_steps);
        let iteration = prefix.total()
            + (fast_steps - steps_with_weights) as f64 * fast.total()
            + steps_with_weights as f64 * fast_with_weights.total()
            + slow.total();
        let forward = prefix.forward.total() + slow.forward.total();
        Self {
            prefix,
            fast,
            fast_with_weights,
            slow,
            fast_steps,
            steps_with_weights,
            iteration,
            per_token: iteration / shape.rows() as f64,
            forward_equivalents: iteration / forward,
        }
    }
}

/// Parameters by what they are for, in the order of the computation.
fn groups(config: &Config) -> Vec<Group> {
    const KINDS: [(&str, &str); 6] = [
        ("embedding, tied", "tok_embeddings."),
        ("window attention", ".attention."),
        ("latent attention", ".cross_attention."),
        ("feed-forward", ".feed_forward."),
        ("normalisation", "norm."),
        ("prior", "prior."),
    ];
    let mut groups = KINDS.map(|(name, _)| Group { name, parameters: 0 });
    for (name, shape) in config.parameter_shapes() {
        for (group, (_, part)) in groups.iter_mut().zip(KINDS) {
            if name.contains(part) {
                group.parameters += shape.iter().product::<usize>();
            }
        }
    }
    groups.into_iter().filter(|group| group.name != "prior" || group.parameters > 0).collect()
}
