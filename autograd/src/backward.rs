//! Derivation of the backward pass: which value's gradient lives where.

use std::collections::BTreeMap;

use ltm_engine::DType;

use crate::ops::add::Add;
use crate::step::Step;
use crate::var::{GradientMode, VarInfo};
use crate::{Error, Result, Var};

/// Collects backward steps while the record is walked from its end.
pub(crate) struct Backward<'a> {
    vars: &'a mut Vec<VarInfo>,
    /// Where the gradient of a value is, once something has flowed into it.
    gradients: Vec<Option<Var>>,
    /// Of values whose parts get gradients: what is there so far.
    parts: BTreeMap<usize, Parts>,
    steps: Vec<Box<dyn Step>>,
}

/// The gradients of the parts of a value.
#[derive(Default)]
struct Parts {
    /// Numbers of the value whose gradient is there.
    filled: usize,
    /// [`Backward::sums`] of all parts.
    sums: Option<Var>,
}

/// Where sums go that become the gradient of a part.
pub(crate) struct Sums {
    /// Those of the part.
    pub(crate) part: Var,
    /// With the last part: the sums of all, and the gradient that they are to become.
    pub(crate) complete: Option<(Var, Var)>,
}

impl<'a> Backward<'a> {
    pub(crate) fn new(vars: &'a mut Vec<VarInfo>, seeds: &[(Var, Var)]) -> Self {
        let mut gradients = vec![None; vars.len()];
        for &(var, gradient) in seeds {
            gradients[var.0] = Some(gradient);
        }
        Self { vars, gradients, parts: BTreeMap::new(), steps: Vec::new() }
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
        let VarInfo { gradient, part_of, len, .. } = self.vars[x.0];
        let (gradient, add) = match (gradient, part_of) {
            (Some((gradient, mode)), _) => (gradient, mode == GradientMode::Add),
            (None, None) => (self.temporary(x), false),
            (None, Some((whole, first))) => {
                self.parts.entry(whole.0).or_default().filled += len;
                let gradient = self.of_whole(whole);
                (self.part(gradient, first, len), false)
            }
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
        let VarInfo { gradient, part_of, .. } = self.vars[x.0];
        // The gradient of a part lies in that of its whole.
        let elsewhere = gradient.is_some() || part_of.is_some();
        if self.gradients[x.0].is_none() && !elsewhere {
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

    /// For an operation that leaves the gradient of `x`, a part of a value with equal parts, as `len`
    /// f32 sums that are still to be added up, for all parts together; `None` where `x` is no part,
    /// or has a gradient already. `x` may have no other reader.
    pub(crate) fn sums(&mut self, x: Var, len: usize) -> Option<Sums> {
        let VarInfo { part_of, len: of_part, .. } = self.vars[x.0];
        let (whole, first) = part_of.filter(|_| self.gradients[x.0].is_none())?;
        let all = self.vars[whole.0].len;
        let sums = match self.parts.get(&whole.0).and_then(|parts| parts.sums) {
            Some(sums) => sums,
            None => self.scratch(DType::F32, all / of_part.max(1) * len),
        };
        let parts = self.parts.entry(whole.0).or_default();
        parts.sums = Some(sums);
        parts.filled += of_part;
        let last = parts.filled >= all;
        let part = self.part(sums, first / of_part.max(1) * len, len);
        self.gradients[x.0] = Some(part);
        let complete = last.then(|| (sums, self.of_whole(whole)));
        Some(Sums { part, complete })
    }

    /// Gradient of a value of which others are the parts; `None` if nothing flows.
    ///
    /// # Errors
    /// If it flows into some of the parts only.
    pub(crate) fn of_parts(&self, op: &'static str, whole: Var) -> Result<Option<Var>> {
        let filled = self.parts.get(&whole.0).map_or(0, |parts| parts.filled);
        match self.gradients[whole.0] {
            None if filled == 0 => Ok(None),
            Some(gradient) if filled == self.vars[whole.0].len => Ok(Some(gradient)),
            _ => Err(Error::Parts { op }),
        }
    }

    fn of_whole(&mut self, whole: Var) -> Var {
        let gradient = self.gradients[whole.0].unwrap_or_else(|| self.temporary(whole));
        self.gradients[whole.0] = Some(gradient);
        gradient
    }

    fn part(&mut self, whole: Var, first: usize, len: usize) -> Var {
        let part = self.scratch(self.vars[whole.0].dtype, len);
        self.vars[part.0].part_of = Some((whole, first));
        part
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
        self.scratch(self.vars[x.0].dtype, len)
    }

    fn scratch(&mut self, dtype: DType, len: usize) -> Var {
        self.vars.push(VarInfo {
            dtype,
            len,
            external: false,
            needs_gradient: false,
            gradient: None,
            part_of: None,
        });
        self.gradients.push(None);
        Var(self.vars.len() - 1)
    }
}
