//! Linear maps that are one operation with the normalisation beside them: forward with the norm of
//! what they compute, backward with the norm whose result they read.

use ltm_engine::Device;
use ltm_engine::ops::{LinearRmsNormBackward, LinearRmsNormForward};

use super::linear::Linear;
use super::rms_norm::RmsNorm;
use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

/// A linear map and the norm of its result.
#[derive(Debug)]
pub(super) struct LinearRmsNorm {
    forward: Forward,
    /// The operation that the linear map belongs to, by itself.
    operation: Box<dyn Operation>,
}

/// Its forward step.
#[derive(Clone, Debug)]
struct Forward {
    linear: Linear,
    norm: RmsNorm,
}

impl LinearRmsNorm {
    /// `operation`, whose forward step is `linear`, with `norm`; `None` where that is the norm of
    /// something else.
    pub(super) fn join(
        operation: &(impl Operation + Clone + 'static),
        linear: &Linear,
        norm: &RmsNorm,
    ) -> Option<Box<dyn Operation>> {
        if linear.out != norm.x {
            return None;
        }
        let forward = Forward { linear: linear.clone(), norm: norm.clone() };
        Some(Box::new(Self { forward, operation: Box::new(operation.clone()) }))
    }
}

impl Tape {
    /// The norm whose result `x` is, where a gradient of `x` may be carried through it at once: its
    /// gain wants none, for which the gradient of `x` itself would have to be kept.
    pub(super) fn passable_norm(&self, x: Var) -> Option<RmsNorm> {
        let norm = self.norms.iter().find(|norm| norm.out == x)?;
        let passable = self.needs_gradient(norm.x) && !self.needs_gradient(norm.weight);
        passable.then(|| norm.clone())
    }
}

impl Step for Forward {
    fn name(&self) -> &'static str {
        "linear_rms_norm_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        self.linear.visit(f);
        f(self.norm.weight, Access::Read);
        f(self.norm.out, Access::Write);
        f(self.norm.inv_rms, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        let Linear { args, out, rows, .. } = &self.linear;
        Ok(device.linear_rms_norm_forward(&LinearRmsNormForward {
            x: memory.get(args.x)?,
            weight: memory.get(args.weight)?,
            residual: memory.maybe(args.residual)?,
            gain: memory.get(self.norm.weight)?,
            out: memory.get(*out)?,
            normed: memory.get(self.norm.out)?,
            inv_rms: memory.get(self.norm.inv_rms)?,
            rows: *rows,
            inner: args.inner,
            outer: args.outer,
            eps: self.norm.eps,
        })?)
    }
}

impl Operation for LinearRmsNorm {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.forward.clone())
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        self.forward.norm.backward(backward)?;
        self.operation.backward(backward)
    }
}

/// The gradient of a linear map with respect to what was normalised for it.
#[derive(Debug)]
pub(super) struct NormGradient {
    pub(super) linear: Linear,
    pub(super) norm: RmsNorm,
    pub(super) d_out: Var,
    pub(super) d_x: Var,
    pub(super) add: bool,
}

impl Step for NormGradient {
    fn name(&self) -> &'static str {
        "linear_rms_norm_backward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        let RmsNorm { x, weight, inv_rms, .. } = self.norm;
        for var in [self.d_out, self.linear.args.weight, x, weight, inv_rms] {
            f(var, Access::Read);
        }
        f(self.d_x, if self.add { Access::Update } else { Access::Write });
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        let Linear { args, rows, .. } = &self.linear;
        Ok(device.linear_rms_norm_backward(&LinearRmsNormBackward {
            d_out: memory.get(self.d_out)?,
            weight: memory.get(args.weight)?,
            x: memory.get(self.norm.x)?,
            gain: memory.get(self.norm.weight)?,
            inv_rms: memory.get(self.norm.inv_rms)?,
            d_x: memory.get(self.d_x)?,
            accumulate: self.add,
            rows: *rows,
            width: args.inner,
            outer: args.outer,
        })?)
    }
}
