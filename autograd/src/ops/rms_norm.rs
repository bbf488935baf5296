//! Root-mean-square normalisation.

use ltm_engine::Device;
use ltm_engine::ops::{RmsNormBackward, RmsNormForward};

use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

/// One normalisation, whatever computes it.
#[derive(Clone, Debug)]
pub(crate) struct RmsNorm {
    pub(crate) x: Var,
    pub(crate) weight: Var,
    pub(crate) out: Var,
    pub(crate) inv_rms: Var,
    rows: usize,
    width: usize,
    pub(super) eps: f32,
}

impl Tape {
    /// `x / rms(x) * weight` over rows of `len(weight)` numbers.
    ///
    /// # Errors
    /// If `x` is no whole number of rows.
    pub fn rms_norm(&mut self, x: Var, weight: Var, eps: f32) -> Result<Var> {
        let width = self.len(weight);
        let rows = self.len(x) / width.max(1);
        self.expect("rms_norm", "x", x, rows * width)?;
        let op = RmsNorm::record(self, x, weight, (rows, width), eps);
        let out = op.out;
        // The norm of what the operation before has computed may be one with it.
        let both = self.operations.last().and_then(|last| last.with_norm(&op));
        if both.is_some() {
            self.operations.pop();
        }
        self.operations.push(both.unwrap_or_else(|| Box::new(op)));
        Ok(out)
    }
}

impl RmsNorm {
    /// Makes the results, and lets operations that follow find out what they are norms of.
    pub(crate) fn record(
        tape: &mut Tape,
        x: Var,
        weight: Var,
        (rows, width): (usize, usize),
        eps: f32,
    ) -> Self {
        let out = tape.intermediate(rows * width, &[x, weight]);
        let inv_rms = tape.statistic(rows);
        let op = Self { x, weight, out, inv_rms, rows, width, eps };
        tape.norms.push(op.clone());
        op
    }
}

impl Step for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.x, Access::Read);
        f(self.weight, Access::Read);
        f(self.out, Access::Write);
        f(self.inv_rms, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.rms_norm_forward(&RmsNormForward {
            x: memory.get(self.x)?,
            residual: None,
            weight: memory.get(self.weight)?,
            out: memory.get(self.out)?,
            inv_rms: memory.get(self.inv_rms)?,
            rows: self.rows,
            width: self.width,
            eps: self.eps,
        })?)
    }
}

impl Operation for RmsNorm {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        let Some(d_out) = backward.of(self.out) else { return Ok(()) };
        let d_weight = backward.weight("rms_norm", "weight", self.weight)?;
        let d_x = backward.wants(self.x).then(|| backward.into(self.x));
        if d_x.is_some() || d_weight.is_some() {
            backward.push(Gradient { op: self.clone(), d_out, d_x, d_weight });
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Gradient {
    op: RmsNorm,
    d_out: Var,
    d_x: Option<(Var, bool)>,
    d_weight: Option<Var>,
}

impl Step for Gradient {
    fn name(&self) -> &'static str {
        "rms_norm_backward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        for var in [self.d_out, self.op.x, self.op.weight, self.op.inv_rms] {
            f(var, Access::Read);
        }
        if let Some((d_x, add)) = self.d_x {
            f(d_x, if add { Access::Update } else { Access::Write });
        }
        if let Some(d_weight) = self.d_weight {
            f(d_weight, Access::Update);
        }
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.rms_norm_backward(&RmsNormBackward {
            d_out: memory.get(self.d_out)?,
            x: memory.get(self.op.x)?,
            weight: memory.get(self.op.weight)?,
            inv_rms: memory.get(self.op.inv_rms)?,
            d_x: memory.maybe(self.d_x.map(|(var, _)| var))?,
            accumulate: self.d_x.is_some_and(|(_, add)| add),
            d_weight: memory.maybe(self.d_weight)?,
            rows: self.op.rows,
            width: self.op.width,
        })?)
    }
}
