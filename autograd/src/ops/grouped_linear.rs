//! Linear maps of one shape side by side.

use ltm_engine::Device;
use ltm_engine::ops::{GroupedLinearBackwardInput, GroupedLinearForward, Groups};

use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Error, Result, Var};

/// Arguments of [`Tape::grouped_linear`].
#[derive(Clone, Copy, Debug)]
pub struct GroupedLinearArgs {
    /// `[groups, rows, inner]`.
    pub x: Var,
    /// `[outer, inner]` each, as [`Groups`] says; frozen.
    pub weight: Var,
    /// How many.
    pub groups: Groups,
    /// Input features.
    pub inner: usize,
    /// Output features.
    pub outer: usize,
}

impl GroupedLinearArgs {
    fn reads_weights(&self) -> Access {
        Access::ReadSome(self.groups.count * self.outer * self.inner)
    }
}

#[derive(Clone, Debug)]
struct GroupedLinear {
    args: GroupedLinearArgs,
    out: Var,
    rows: usize,
}

impl Tape {
    /// `x_g weight_g^T` of every group, `[rows, outer]` each: parts of one value. The weights are
    /// frozen, and a gradient flows into all of the results or none.
    ///
    /// # Errors
    /// If a value has another extent, or the weights want a gradient.
    pub fn grouped_linear(&mut self, args: GroupedLinearArgs) -> Result<Vec<Var>> {
        const OP: &str = "grouped_linear";
        let GroupedLinearArgs { x, weight, groups, inner, outer } = args;
        let rows = self.len(x) / (groups.count * inner).max(1);
        self.expect(OP, "x", x, groups.count * rows * inner)?;
        self.expect(OP, "weight", weight, groups.weights_len(outer * inner))?;
        if self.needs_gradient(weight) {
            return Err(Error::Mode { op: OP, what: "weight" });
        }
        let len = rows * outer;
        let out = self.intermediate(groups.count * len, &[x]);
        self.operations.push(Box::new(GroupedLinear { args, out, rows }));
        Ok((0..groups.count).map(|group| self.part(out, group * len, len)).collect())
    }
}

impl Step for GroupedLinear {
    fn name(&self) -> &'static str {
        "grouped_linear_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.args.x, Access::Read);
        f(self.args.weight, self.args.reads_weights());
        f(self.out, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.grouped_linear_forward(&GroupedLinearForward {
            x: memory.get(self.args.x)?,
            weight: memory.get(self.args.weight)?,
            out: memory.get(self.out)?,
            groups: self.args.groups,
            rows: self.rows,
            inner: self.args.inner,
            outer: self.args.outer,
        })?)
    }
}

impl Operation for GroupedLinear {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        if let Some(d_out) = backward.of_parts("grouped_linear", self.out)?
            && backward.wants(self.args.x)
        {
            let op = self.clone();
            backward.overwrite(self.args.x, |d_x| Gradient { op, d_out, d_x });
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Gradient {
    op: GroupedLinear,
    d_out: Var,
    d_x: Var,
}

impl Step for Gradient {
    fn name(&self) -> &'static str {
        "grouped_linear_backward_input"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.d_out, Access::Read);
        f(self.op.args.weight, self.op.args.reads_weights());
        f(self.d_x, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.grouped_linear_backward_input(&GroupedLinearBackwardInput {
            d_out: memory.get(self.d_out)?,
            weight: memory.get(self.op.args.weight)?,
            d_x: memory.get(self.d_x)?,
            groups: self.op.args.groups,
            rows: self.op.rows,
            inner: self.op.args.inner,
            outer: self.op.args.outer,
        })?)
    }
}
