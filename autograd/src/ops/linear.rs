//! Linear maps without bias.

use ltm_engine::Device;
use ltm_engine::ops::{LinearBackwardInput, LinearBackwardWeight, LinearForward};

use super::linear_rms_norm::{LinearRmsNorm, NormGradient};
use super::rms_norm::RmsNorm;
use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

/// Arguments of [`Tape::linear`].
#[derive(Clone, Copy, Debug)]
pub struct LinearArgs {
    /// `[rows, inner]`.
    pub x: Var,
    /// `[outer, inner]`.
    pub weight: Var,
    /// `[rows, outer]`, added to the product.
    pub residual: Option<Var>,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) args: LinearArgs,
    pub(super) out: Var,
    pub(super) rows: usize,
    /// The norm whose result is read, if the gradient may go on through it at once.
    norm: Option<RmsNorm>,
}

impl Linear {
    /// Checks the extents and makes the result, in the name of `op`.
    pub(super) fn record(tape: &mut Tape, op: &'static str, args: LinearArgs) -> Result<Self> {
        let rows = tape.len(args.x) / args.inner.max(1);
        tape.expect(op, "x", args.x, rows * args.inner)?;
        tape.expect(op, "weight", args.weight, args.outer * args.inner)?;
        if let Some(residual) = args.residual {
            tape.expect(op, "residual", residual, rows * args.outer)?;
        }
        let inputs = [args.x, args.weight, args.residual.unwrap_or(args.x)];
        let out = tape.intermediate(rows * args.outer, &inputs);
        Ok(Self { args, out, rows, norm: tape.passable_norm(args.x) })
    }
}

impl Tape {
    /// `x weight^T (+ residual)`, `[rows, outer]`.
    ///
    /// # Errors
    /// If a value has another extent.
    pub fn linear(&mut self, args: LinearArgs) -> Result<Var> {
        let linear = Linear::record(self, "linear", args)?;
        let out = linear.out;
        self.operations.push(Box::new(linear));
        Ok(out)
    }
}

impl Step for Linear {
    fn name(&self) -> &'static str {
        "linear_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.args.x, Access::Read);
        f(self.args.weight, Access::Read);
        if let Some(residual) = self.args.residual {
            f(residual, Access::Read);
        }
        f(self.out, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.linear_forward(&LinearForward {
            x: memory.get(self.args.x)?,
            weight: memory.get(self.args.weight)?,
            residual: memory.maybe(self.args.residual)?,
            out: memory.get(self.out)?,
            rows: self.rows,
            inner: self.args.inner,
            outer: self.args.outer,
        })?)
    }
}

impl Operation for Linear {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn with_norm(&self, norm: &RmsNorm) -> Option<Box<dyn Operation>> {
        LinearRmsNorm::join(self, self, norm)
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        let Some(d_out) = backward.of(self.out) else { return Ok(()) };
        if let Some(d_weight) = backward.weight("linear", "weight", self.args.weight)? {
            backward.push(WeightGradient { op: self.clone(), d_out, d_weight });
        }
        match &self.norm {
            Some(norm) => {
                let (d_x, add) = backward.into(norm.x);
                let (linear, norm) = (self.clone(), norm.clone());
                backward.push(NormGradient { linear, norm, d_out, d_x, add });
            }
            None if backward.wants(self.args.x) => {
                let (d_x, add) = backward.into(self.args.x);
                backward.push(InputGradient { op: self.clone(), d_out, d_x, add });
            }
            None => {}
        }
        if let Some(residual) = self.args.residual {
            backward.pass(residual, d_out);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct InputGradient {
    op: Linear,
    d_out: Var,
    d_x: Var,
    add: bool,
}

impl Step for InputGradient {
    fn name(&self) -> &'static str {
        "linear_backward_input"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.d_out, Access::Read);
        f(self.op.args.weight, Access::Read);
        f(self.d_x, if self.add { Access::Update } else { Access::Write });
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.linear_backward_input(&LinearBackwardInput {
            d_out: memory.get(self.d_out)?,
            weight: memory.get(self.op.args.weight)?,
            d_x: memory.get(self.d_x)?,
            accumulate: self.add,
            rows: self.op.rows,
            inner: self.op.args.inner,
            outer: self.op.args.outer,
        })?)
    }
}

#[derive(Debug)]
pub(super) struct WeightGradient {
    pub(super) op: Linear,
    pub(super) d_out: Var,
    pub(super) d_weight: Var,
}

impl Step for WeightGradient {
    fn name(&self) -> &'static str {
        "linear_backward_weight"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.d_out, Access::Read);
        f(self.op.args.x, Access::Read);
        f(self.d_weight, Access::Update);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.linear_backward_weight(&LinearBackwardWeight {
            d_out: memory.get(self.d_out)?,
            x: memory.get(self.op.args.x)?,
            d_weight: memory.get(self.d_weight)?,
            rows: self.op.rows,
            inner: self.op.args.inner,
            outer: self.op.args.outer,
        })?)
    }
}
