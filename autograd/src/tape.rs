//! The record of a computation.

use ltm_engine::DType;

use crate::backward::Backward;
use crate::ops::rms_norm::RmsNorm;
use crate::planner::plan;
use crate::step::Step;
use crate::var::{GradientMode, Var, VarInfo};
use crate::{Error, Program, Result};

/// An operation as recorded: its forward step, and how to derive its backward.
pub(crate) trait Operation: std::fmt::Debug + Send {
    /// Emits the backward steps. Called only if a gradient reaches the output.
    fn backward(&self, backward: &mut Backward<'_>) -> Result<()>;

    /// The forward step by itself.
    fn forward(&self) -> Box<dyn Step>;

    /// This operation and the norm of its result as one; `None` where they stay apart.
    fn with_norm(&self, _norm: &RmsNorm) -> Option<Box<dyn Operation>> {
        None
    }
}

/// A list of operations, in the order in which they will run.
#[derive(Debug)]
pub struct Tape {
    storage: DType,
    pub(crate) vars: Vec<VarInfo>,
    pub(crate) operations: Vec<Box<dyn Operation>>,
    seeds: Vec<(Var, Var)>,
    /// Every normalisation so far.
    pub(crate) norms: Vec<RmsNorm>,
}

impl Default for Tape {
    fn default() -> Self {
        Self::new()
    }
}

impl Tape {
    /// An empty tape whose values are stored in f32.
    pub fn new() -> Self {
        Self::with_storage(DType::F32)
    }

    /// An empty tape whose results, weights and their gradients are stored in `storage`, f32 or
    /// bf16. Statistics and the gradients of parameters are f32 always.
    pub fn with_storage(storage: DType) -> Self {
        let (vars, operations, seeds, norms) = Default::default();
        Self { storage, vars, operations, seeds, norms }
    }

    /// Type of results, weights and the gradients of results.
    pub fn storage(&self) -> DType {
        self.storage
    }

    /// A value whose buffer the caller binds, and of which no gradient is wanted.
    pub fn constant(&mut self, dtype: DType, len: usize) -> Var {
        self.push(VarInfo {
            dtype,
            len,
            external: true,
            needs_gradient: false,
            gradient: None,
            part_of: None,
        })
    }

    /// A value in storage whose buffer the caller binds, with a gradient. Returns the value and
    /// its gradient, which is an external value of the same length and type.
    pub fn variable(&mut self, len: usize, mode: GradientMode) -> (Var, Var) {
        self.differentiable(len, self.storage, mode)
    }

    /// A weight in storage whose buffer the caller binds, with a gradient in f32 that is added
    /// to. Returns the value and its gradient, which is an external value of the same length.
    pub fn parameter(&mut self, len: usize) -> (Var, Var) {
        self.differentiable(len, DType::F32, GradientMode::Add)
    }

    fn differentiable(&mut self, len: usize, gradient: DType, mode: GradientMode) -> (Var, Var) {
        let gradient = self.constant(gradient, len);
        let value = self.push(VarInfo {
            dtype: self.storage,
            len,
            external: true,
            needs_gradient: true,
            gradient: Some((gradient, mode)),
            part_of: None,
        });
        (value, gradient)
    }

    /// Hands a result to the caller: it becomes external, and its buffer is bound.
    pub fn export(&mut self, var: Var) {
        self.vars[var.0].external = true;
    }

    /// Starts the gradient of an exported result from a buffer that the caller binds, for a
    /// program whose result feeds other programs. The backward pass works in that buffer.
    pub fn seed(&mut self, var: Var) -> Var {
        let gradient = self.constant(self.vars[var.0].dtype, self.len(var));
        self.seeds.push((var, gradient));
        gradient
    }

    /// Elements of a value.
    pub fn len(&self, var: Var) -> usize {
        self.vars[var.0].len
    }

    /// True before anything was recorded.
    pub fn is_empty(&self) -> bool {
        self.vars.is_empty()
    }

    /// A value in storage that the program owns; the result of operations on `inputs`.
    pub(crate) fn intermediate(&mut self, len: usize, inputs: &[Var]) -> Var {
        let needs_gradient = inputs.iter().any(|v| self.vars[v.0].needs_gradient);
        self.owned(self.storage, len, needs_gradient)
    }

    /// f32 numbers that an operation keeps for its backward pass.
    pub(crate) fn statistic(&mut self, len: usize) -> Var {
        self.owned(DType::F32, len, false)
    }

    fn owned(&mut self, dtype: DType, len: usize, needs_gradient: bool) -> Var {
        self.push(VarInfo {
            dtype,
            len,
            external: false,
            needs_gradient,
            gradient: None,
            part_of: None,
        })
    }

    /// `len` numbers of a value that the program owns, from `first` on, as a value.
    pub(crate) fn part(&mut self, whole: Var, first: usize, len: usize) -> Var {
        let info = VarInfo { len, part_of: Some((whole, first)), ..self.vars[whole.0].clone() };
        self.push(info)
    }

    pub(crate) fn needs_gradient(&self, var: Var) -> bool {
        self.vars[var.0].needs_gradient
    }

    pub(crate) fn expect(
        &self,
        op: &'static str,
        what: &'static str,
        var: Var,
        expected: usize,
    ) -> Result<()> {
        let found = self.len(var);
        if found == expected { Ok(()) } else { Err(Error::Extent { op, what, found, expected }) }
    }

    /// The buffer into which an operation adds the gradient of an external weight.
    pub(crate) fn weight_gradient(
        &self,
        op: &'static str,
        what: &'static str,
        var: Var,
    ) -> Result<Option<Var>> {
        match self.vars[var.0].gradient {
            Some((gradient, GradientMode::Add)) => Ok(Some(gradient)),
            // A result has no buffer to add into: its gradient would be lost in silence.
            None if !self.vars[var.0].needs_gradient => Ok(None),
            _ => Err(Error::Mode { op, what }),
        }
    }

    pub(crate) fn push(&mut self, info: VarInfo) -> Var {
        self.vars.push(info);
        Var(self.vars.len() - 1)
    }

    /// Derives the backward pass and lays out memory. Losses and seeds are the sources of
    /// gradients.
    ///
    /// # Errors
    /// If an operation cannot deliver a gradient as it was asked for.
    pub fn finish(mut self) -> Result<Program> {
        let mut steps: Vec<Box<dyn Step>> =
            self.operations.iter().map(|operation| operation.forward()).collect();
        let forward = steps.len();
        let operations = std::mem::take(&mut self.operations);
        let mut backward = Backward::new(&mut self.vars, &self.seeds);
        for operation in operations.iter().rev() {
            operation.backward(&mut backward)?;
        }
        steps.extend(backward.into_steps());
        let layout = plan(&self.vars, &steps);
        Ok(Program::new(self.vars, steps, forward, layout))
    }
}
