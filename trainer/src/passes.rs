//! The recorded programs of a configuration and the memory they share.

use ltm_autograd::{Program, Result, Segment};
use ltm_engine::{Buffer, DType, Device, Processor};

use crate::config::Config;
use crate::graphs::Graphs;
use crate::model::{
    BatchShape, ParameterLayout, Parameters, Prefix, Suffix, SuffixArgs, record_prefix,
    record_suffix,
};
use crate::workspace::Workspace;

/// What the programs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Inference of posteriors and evaluation; weights are frozen.
    Inference,
    /// Training.
    Training,
}

/// Programs that only training needs.
pub struct TrainingPasses {
    /// A fast step that adds weight gradients too, and the factor of its loss. Absent if no
    /// fast step's weight gradients are used.
    pub fast_with_weights: Option<(Program, f32)>,
    /// The pass at the inferred z: gradients of the mean token loss.
    pub slow: Program,
}

/// All programs of one batch shape, bound to a workspace and the parameters.
pub struct Passes {
    /// The part that does not depend on z; trainable in training.
    pub prefix: Program,
    /// A fast step: gradient with respect to z, no weight gradients. Without latents it is `score`.
    pub fast: Program,
    /// Losses alone.
    pub score: Program,
    /// Present in training.
    pub training: Option<TrainingPasses>,
    /// What the device has recorded of them.
    pub graphs: Graphs,
    arenas: [Buffer; 2],
}

/// Recorded programs before any memory exists: what `ltm plan` prints and [`Passes`] allocates.
pub struct PassPlan {
    shape: BatchShape,
    prefix: Prefix,
    fast: Suffix,
    score: Suffix,
    training: Option<(Option<(Suffix, f32)>, Suffix)>,
    graphs: bool,
}

impl PassPlan {
    /// Records every program of `config` for micro-batches of `shape` on `processor`.
    ///
    /// # Errors
    /// If the extents of the configuration contradict each other.
    pub fn record(
        config: &Config,
        shape: BatchShape,
        purpose: Purpose,
        processor: Processor,
    ) -> Result<Self> {
        let (model, layout) = (&config.model, ParameterLayout::new(&config.model));
        let storage = config.storage();
        let none = &mut |_: &mut ltm_autograd::Tape, _: &str, _: ltm_autograd::Var| {};
        let mut suffix = |latents: bool, weights: bool, scale: f32| {
            let args = SuffixArgs { shape, latents, weights, scale, storage, processor };
            record_suffix(model, &layout, args, none)
        };
        let fast = suffix(true, false, 1.0)?;
        let score = suffix(false, false, 1.0)?;
        let training = match purpose {
            Purpose::Inference => None,
            Purpose::Training => {
                let samples = config.trajectory_samples().min(config.fast.steps);
                let fast_with_weights = match samples {
                    0 => None,
                    // Unbiased for the sum over all fast steps (DESIGN: trajectory_samples).
                    k => {
                        let scale = config.fast.steps as f32 / k as f32;
                        Some((suffix(true, true, scale)?, scale))
                    }
                };
                let micro_batches = (config.train.batch / shape.batch.max(1)).max(1);
                let scale = 1.0 / (shape.rows() * micro_batches) as f32;
                Some((fast_with_weights, suffix(false, true, scale)?))
            }
        };
        let trainable = purpose == Purpose::Training;
        let none = &mut |_: &mut ltm_autograd::Tape, _: &str, _: ltm_autograd::Var| {};
        let kind = (trainable, storage, processor);
        let prefix = record_prefix(model, &layout, shape, kind, none)?;
        Ok(Self { shape, prefix, fast, score, training, graphs: config.train.graphs })
    }

    /// Sequences and tokens of a micro-batch.
    pub fn shape(&self) -> BatchShape {
        self.shape
    }

    /// Bytes of the arena of the prefix, alive during a whole iteration.
    pub fn prefix_arena_bytes(&self) -> usize {
        self.prefix.program.arena_bytes()
    }

    /// Bytes of the arena that all passes from z to the loss take turns in.
    pub fn suffix_arena_bytes(&self) -> usize {
        let mut bytes = self.fast.program.arena_bytes().max(self.score.program.arena_bytes());
        if let Some((fast_with_weights, slow)) = &self.training {
            bytes = bytes.max(slow.program.arena_bytes());
            if let Some((suffix, _)) = fast_with_weights {
                bytes = bytes.max(suffix.program.arena_bytes());
            }
        }
        bytes
    }

    /// Allocates the arenas and binds everything.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn allocate(
        self,
        device: &mut dyn Device,
        parameters: &Parameters,
        workspace: &Workspace,
    ) -> Result<Passes> {
        workspace.know_prior(parameters)?;
        let prefix_arena = device.alloc(DType::F32, self.prefix_arena_bytes().div_ceil(4))?;
        let suffix_arena = device.alloc(DType::F32, self.suffix_arena_bytes().div_ceil(4))?;
        let slots = |slot| workspace.slot(slot);
        let bind = |mut program: Program, bindings: &crate::model::Bindings, arena: &Buffer| {
            bindings.bind(&mut program, parameters, &slots)?;
            program.place(arena)?;
            Ok::<Program, ltm_autograd::Error>(program)
        };
        let suffix = |s: Suffix| bind(s.program, &s.bindings, &suffix_arena);
        let training = match self.training {
            None => None,
            Some((fast_with_weights, slow)) => Some(TrainingPasses {
                fast_with_weights: match fast_with_weights {
                    None => None,
                    Some((pass, scale)) => Some((suffix(pass)?, scale)),
                },
                slow: suffix(slow)?,
            }),
        };
        Ok(Passes {
            prefix: bind(self.prefix.program, &self.prefix.bindings, &prefix_arena)?,
            fast: suffix(self.fast)?,
            score: suffix(self.score)?,
            training,
            graphs: Graphs::new(self.graphs),
            arenas: [prefix_arena, suffix_arena],
        })
    }
}

impl Passes {
    /// Runs every program once on a device that rehearses.
    ///
    /// # Errors
    /// What an operation finds wrong with its arguments, or no memory left.
    pub fn rehearse(&self, device: &mut dyn Device) -> Result<()> {
        let training = self
            .training
            .iter()
            .flat_map(|t| t.fast_with_weights.iter().map(|(program, _)| program).chain([&t.slow]));
        for program in [&self.prefix, &self.fast, &self.score].into_iter().chain(training) {
            program.run(Segment::All, device)?;
        }
        Ok(())
    }

    /// Arenas of the prefix, and of all other passes.
    pub fn arenas(&self) -> &[Buffer; 2] {
        &self.arenas
    }

    /// Bytes of the arenas.
    pub fn arena_bytes(&self) -> usize {
        self.arenas.iter().map(Buffer::byte_len).sum()
    }
}

#[cfg(test)]
mod tests;
