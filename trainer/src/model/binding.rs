//! Which buffer each external value of a recorded program stands for.

use std::ops::Range;

use ltm_autograd::{GradientMode, Program, Tape, Var};
use ltm_engine::{Buffer, DType};

use super::Parameters;

/// A buffer that programs of one batch share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// `[rows]` i32.
    Tokens,
    /// `[rows]` i32: rows sorted by token.
    Order,
    /// `[rows]` i32.
    Targets,
    /// `[rows, D]` storage: residual stream after the self-attention of layer 0.
    PrefixStream,
    /// `[rows, D]` storage: latent-attention queries of layer 0.
    PrefixQueries,
    /// `[rows, 2, F]` storage: the normalised stream behind gate and up of layer 0, without what
    /// latents add to it; only where passes start from it.
    PrefixGateUp,
    /// Gradient of [`Slot::PrefixStream`], summed over the passes of an iteration.
    PrefixStreamGradient,
    /// Gradient of [`Slot::PrefixQueries`], likewise.
    PrefixQueriesGradient,
    /// Gradient of [`Slot::PrefixGateUp`], likewise.
    PrefixGateUpGradient,
    /// `[L, B, M, D]` storage.
    Latents,
    /// `[L, B, M, D]` storage.
    LatentsGradient,
    /// `[rows]` f32.
    TokenNll,
    /// `[rows]` f32.
    LogSumExp,
    /// A value that a tap asked for, by number.
    Tap(usize),
}

#[derive(Clone, Debug)]
enum Target {
    Weight(Range<usize>),
    WeightGradient(Range<usize>),
    Slot(Slot, Range<usize>),
}

/// External values of a program and what they stand for.
#[derive(Debug, Default)]
pub struct Bindings {
    targets: Vec<(Var, Target)>,
    trainable: bool,
}

impl Bindings {
    /// No values yet; weights recorded through it are trainable or frozen.
    pub fn new(trainable: bool) -> Self {
        Self { targets: Vec::new(), trainable }
    }

    /// Whether weights get gradients.
    pub fn trainable(&self) -> bool {
        self.trainable
    }

    /// A range of the parameters.
    pub(crate) fn weight(&mut self, tape: &mut Tape, range: Range<usize>) -> Var {
        if !self.trainable {
            let var = tape.constant(tape.storage(), range.len());
            self.targets.push((var, Target::Weight(range)));
            return var;
        }
        let (var, gradient) = tape.parameter(range.len());
        self.targets.push((var, Target::Weight(range.clone())));
        self.targets.push((gradient, Target::WeightGradient(range)));
        var
    }

    /// A shared buffer without a gradient.
    pub(crate) fn constant(
        &mut self,
        tape: &mut Tape,
        dtype: DType,
        slot: Slot,
        range: Range<usize>,
    ) -> Var {
        let var = tape.constant(dtype, range.len());
        self.targets.push((var, Target::Slot(slot, range)));
        var
    }

    /// A shared buffer whose gradient goes to another one.
    pub(crate) fn variable(
        &mut self,
        tape: &mut Tape,
        slot: Slot,
        gradient: Slot,
        range: Range<usize>,
        mode: GradientMode,
    ) -> Var {
        let (var, d_var) = tape.variable(range.len(), mode);
        self.targets.push((var, Target::Slot(slot, range.clone())));
        self.targets.push((d_var, Target::Slot(gradient, range)));
        var
    }

    /// An exported result that lives in a shared buffer.
    pub fn export(&mut self, tape: &mut Tape, var: Var, slot: Slot) {
        tape.export(var);
        self.targets.push((var, Target::Slot(slot, 0..tape.len(var))));
    }

    /// Starts the gradient of an exported result from a shared buffer.
    pub(crate) fn seed(&mut self, tape: &mut Tape, var: Var, slot: Slot) {
        let gradient = tape.seed(var);
        self.targets.push((gradient, Target::Slot(slot, 0..tape.len(var))));
    }

    /// Binds every value of `program`.
    ///
    /// # Errors
    /// If a buffer is missing or has another length.
    pub fn bind(
        &self,
        program: &mut Program,
        parameters: &Parameters,
        slots: &dyn Fn(Slot) -> Option<Buffer>,
    ) -> ltm_autograd::Result<()> {
        let missing = |what: &str| ltm_engine::Error::Value {
            op: "bind",
            detail: format!("no buffer for {what}"),
        };
        for (var, target) in &self.targets {
            let buffer = match target {
                Target::Weight(range) => parameters.weights().slice(range.clone())?,
                Target::WeightGradient(range) => match &parameters.training {
                    Some(training) => training.gradients.slice(range.clone())?,
                    None => return Err(missing("weight gradients").into()),
                },
                Target::Slot(slot, range) => match slots(*slot) {
                    Some(buffer) => buffer.slice(range.clone())?,
                    None => return Err(missing(&format!("{slot:?}")).into()),
                },
            };
            program.bind(*var, &buffer)?;
        }
        Ok(())
    }
}
