//! The gated activation.

use ltm_engine::Device;
use ltm_engine::ops::{SwigluBackward, SwigluForward};

use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

#[derive(Clone, Debug)]
struct Swiglu {
    gate_up: Var,
    out: Var,
    rows: usize,
    width: usize,
}

impl Tape {
    /// `silu(gate) * up` of `gate_up` `[rows, 2, width]`; the result is `[rows, width]`.
    ///
    /// # Errors
    /// If `gate_up` is no whole number of rows.
    pub fn swiglu(&mut self, gate_up: Var, width: usize) -> Result<Var> {
        let rows = self.len(gate_up) / (2 * width).max(1);
        self.expect("swiglu", "gate_up", gate_up, 2 * rows * width)?;
        let out = self.intermediate(rows * width, &[gate_up]);
        self.operations.push(Box::new(Swiglu { gate_up, out, rows, width }));
        Ok(out)
    }
}

impl Step for Swiglu {
    fn name(&self) -> &'static str {
        "swiglu_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.gate_up, Access::Read);
        f(self.out, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.swiglu_forward(&SwigluForward {
            gate_up: memory.get(self.gate_up)?,
            out: memory.get(self.out)?,
            rows: self.rows,
            width: self.width,
        })?)
    }
}

impl Operation for Swiglu {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        if let (Some(d_out), true) = (backward.of(self.out), backward.wants(self.gate_up)) {
            let op = self.clone();
            backward.overwrite(self.gate_up, |d_gate_up| Gradient { op, d_out, d_gate_up });
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Gradient {
    op: Swiglu,
    d_out: Var,
    d_gate_up: Var,
}

impl Step for Gradient {
    fn name(&self) -> &'static str {
        "swiglu_backward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.op.gate_up, Access::Read);
        f(self.d_out, Access::Read);
        f(self.d_gate_up, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.swiglu_backward(&SwigluBackward {
            gate_up: memory.get(self.op.gate_up)?,
            d_out: memory.get(self.d_out)?,
            d_gate_up: memory.get(self.d_gate_up)?,
            rows: self.op.rows,
            width: self.op.width,
        })?)
    }
}
