//! The gated feed-forward block, whose activation is part of the products around it.

use ltm_engine::Device;
use ltm_engine::ops::{LinearSwigluBackward, LinearSwigluForward};

use super::linear::{Linear, LinearArgs, WeightGradient};
use super::linear_rms_norm::LinearRmsNorm;
use super::rms_norm::RmsNorm;
use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

/// Arguments of [`Tape::feed_forward`].
#[derive(Clone, Copy, Debug)]
pub struct FeedForwardArgs {
    /// `[rows, inner]`.
    pub x: Var,
    /// `[2 * width, inner]`: the rows of gate, then those of up.
    pub gate_up: Var,
    /// `[outer, width]`.
    pub down: Var,
    /// `[rows, outer]`, added to the result.
    pub residual: Option<Var>,
    /// Input features.
    pub inner: usize,
    /// Hidden features.
    pub width: usize,
    /// Output features.
    pub outer: usize,
}

/// `silu(gate) * up` of the product `[gate, up]`, which is kept.
#[derive(Clone, Debug)]
struct Hidden {
    product: Linear,
    out: Var,
    width: usize,
}

/// The product with the hidden features, whose gradient goes on to what they were made of.
#[derive(Clone, Debug)]
pub(super) struct Down {
    pub(super) product: Linear,
    pub(super) gate_up: Var,
}

impl Tape {
    /// `(silu(gate) * up) down^T (+ residual)` with `[gate, up] = x gate_up^T`, `[rows, outer]`.
    ///
    /// # Errors
    /// If a value has another extent.
    pub fn feed_forward(&mut self, args: FeedForwardArgs) -> Result<Var> {
        const OP: &str = "feed_forward";
        let FeedForwardArgs { x, gate_up, down, residual, inner, width, outer } = args;
        let rows = self.len(x) / inner.max(1);
        self.expect(OP, "x", x, rows * inner)?;
        self.expect(OP, "gate_up", gate_up, 2 * width * inner)?;
        self.expect(OP, "down", down, outer * width)?;
        let product = LinearArgs { x, weight: gate_up, residual: None, inner, outer: 2 * width };
        let product = Linear::record(self, OP, product)?;
        let gate_up = product.out;
        let hidden = self.intermediate(rows * width, &[gate_up]);
        self.operations.push(Box::new(Hidden { product, out: hidden, width }));
        let product = LinearArgs { x: hidden, weight: down, residual, inner: width, outer };
        let product = Linear::record(self, OP, product)?;
        let out = product.out;
        self.operations.push(Box::new(Down { product, gate_up }));
        Ok(out)
    }
}

impl Step for Hidden {
    fn name(&self) -> &'static str {
        "linear_swiglu_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.product.args.x, Access::Read);
        f(self.product.args.weight, Access::Read);
        f(self.product.out, Access::Write);
        f(self.out, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.linear_swiglu_forward(&LinearSwigluForward {
            x: memory.get(self.product.args.x)?,
            weight: memory.get(self.product.args.weight)?,
            gate_up: memory.get(self.product.out)?,
            out: memory.get(self.out)?,
            rows: self.product.rows,
            inner: self.product.args.inner,
            width: self.width,
        })?)
    }
}

impl Operation for Hidden {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    /// The gradient of the product is there: [`Down`] has put it there.
    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        self.product.backward(backward)
    }
}

impl Step for Down {
    fn name(&self) -> &'static str {
        self.product.name()
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        self.product.visit(f);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        self.product.run(memory, device)
    }
}

impl Operation for Down {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn with_norm(&self, norm: &RmsNorm) -> Option<Box<dyn Operation>> {
        LinearRmsNorm::join(self, &self.product, norm)
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        let Some(d_out) = backward.of(self.product.out) else { return Ok(()) };
        if let Some(d_weight) = backward.weight("feed_forward", "down", self.product.args.weight)? {
            backward.push(WeightGradient { op: self.product.clone(), d_out, d_weight });
        }
        if backward.wants(self.gate_up) {
            let op = self.clone();
            backward.overwrite(self.gate_up, |d_gate_up| Gradient { op, d_out, d_gate_up });
        }
        if let Some(residual) = self.product.args.residual {
            backward.pass(residual, d_out);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Gradient {
    op: Down,
    d_out: Var,
    d_gate_up: Var,
}

impl Step for Gradient {
    fn name(&self) -> &'static str {
        "linear_swiglu_backward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        for var in [self.d_out, self.op.product.args.weight, self.op.gate_up] {
            f(var, Access::Read);
        }
        f(self.d_gate_up, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        let Linear { args, rows, .. } = &self.op.product;
        Ok(device.linear_swiglu_backward(&LinearSwigluBackward {
            d_out: memory.get(self.d_out)?,
            weight: memory.get(args.weight)?,
            gate_up: memory.get(self.op.gate_up)?,
            d_gate_up: memory.get(self.d_gate_up)?,
            rows: *rows,
            width: args.inner,
            outer: args.outer,
        })?)
    }
}
