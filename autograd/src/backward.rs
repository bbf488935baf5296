//! Derivation of the backward pass: which value's gradient lives where.

use crate::ops::add::Add;
use crate::step::Step;
use crate::var::{GradientMode, VarInfo};
use crate::{Error, Result, Var};

/// Collects backward steps while the record is walked from its end.
pub(crate) struct Backward<'a> {
    vars: &'a mut Vec<VarInfo>,
    /// Where the gradient of a value is, once something has flowed into it.
    gradients: Vec<Option<Var>>,
    steps: Vec<Box<dyn Step>>,
}

impl<'a> Backward<'a> {
    pub(crate) fn new(vars: &'a mut Vec<VarInfo>, seeds: &[(Var, Var)]) -> Self {
        let mut gradients = vec![None; vars.len()];
        for &(var, gradient) in seeds {
            gradients[var.0] = Some(gradient);
        }
        Self { vars, gradients, steps: Vec::new() }
    }

    pub(crate) fn into_steps(self) -> Vec<Box<dyn Step>> {
        self.steps
    }

    pub(crate) fn push(&mut self, step: impl Step + 'static) {
        self.steps.push(Box::new(step));
    }

    /// Gradient of a result, complete when its operation is reached; `None` if nothing flows.
    pub(crate) fn of(&self, out: Var) -> Option<Var> {
        self.gradients[out.0]
    }

    /// Whether a gradient of `x` is of use to anybody.
    pub(crate) fn wants(&self, x: Var) -> bool {
        self.vars[x.0].needs_gradient
    }

    /// Where to put a contribution to the gradient of `x`, and whether to add it there.
    pub(crate) fn into(&mut self, x: Var) -> (Var, bool) {
        if let Some(gradient) = self.gradients[x.0] {
            return (gradient, true);
        }
        let (gradient, add) = match self.vars[x.0].gradient {
            Some((gradient, mode)) => (gradient, mode == GradientMode::Add),
            None => (self.temporary(x), false),
        };
        self.gradients[x.0] = Some(gradient);
        (gradient, add)
    }

    /// Lets `step` overwrite a buffer with a contribution to the gradient of `x`, for
    /// operations that cannot add.
    pub(crate) fn overwrite<S: Step + 'static>(&mut self, x: Var, step: impl FnOnce(Var) -> S) {
        let (gradient, add) = self.into(x);
        if add {
            let contribution = self.temporary(x);
            self.push(step(contribution));
            self.push(Add { x: contribution, into: gradient });
        } else {
            self.push(step(gradient));
        }
    }

    /// `x` enters its operation as a plain summand: its gradient is that of the result.
    ///
    /// Where nothing else has flowed into `x` yet, the buffer of `d_out` becomes the gradient of
    /// `x` and later contributions are added in place: everything that reads `d_out` belongs to
    /// the operation at hand and has been emitted before.
    pub(crate) fn pass(&mut self, x: Var, d_out: Var) {
        if !self.wants(x) {
            return;
        }
        let external = self.vars[x.0].gradient.is_some();
        if self.gradients[x.0].is_none() && !external {
            self.gradients[x.0] = Some(d_out);
            return;
        }
        let fresh = self.gradients[x.0].is_none();
        let (gradient, add) = self.into(x);
        if fresh && !add {
            self.push(crate::ops::add::Copy { x: d_out, to: gradient });
        } else {
            self.push(Add { x: d_out, into: gradient });
        }
    }

    /// Where an operation adds the gradient of a weight; `None` if it is frozen.
    pub(crate) fn weight(
        &self,
        op: &'static str,
        what: &'static str,
        weight: Var,
    ) -> Result<Option<Var>> {
        match self.vars[weight.0].gradient {
            Some((gradient, GradientMode::Add)) => Ok(Some(gradient)),
            // A result has no buffer to add into: its gradient would be lost in silence.
            None if !self.vars[weight.0].needs_gradient => Ok(None),
            _ => Err(Error::Mode { op, what }),
        }
    }

    /// Memory for a gradient of `x`: as many numbers, of the same type.
    fn temporary(&mut self, x: Var) -> Var {
        self.room(x, self.vars[x.0].len)
    }

    /// Memory for `len` numbers of the type of `x`.
    pub(crate) fn room(&mut self, x: Var, len: usize) -> Var {
        let dtype = self.vars[x.0].dtype;
        self.vars.push(VarInfo {
            dtype,
            len,
            external: false,
            needs_gradient: false,
            gradient: None,
        });
        self.gradients.push(None);
        Var(self.vars.len() - 1)
    }
}
