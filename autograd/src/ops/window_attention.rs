//! Causal sliding-window attention.

use ltm_engine::Device;
use ltm_engine::ops::{WindowAttentionBackward, WindowAttentionForward, WindowAttentionShape};

use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

#[derive(Clone, Debug)]
struct WindowAttention {
    qkv: Var,
    out: Var,
    logsumexp: Var,
    shape: WindowAttentionShape,
}

impl Tape {
    /// Attention over packed, unrotated `qkv` `[batch, seq, 3, heads, head_dim]`; the result is
    /// `[batch, seq, heads, head_dim]`.
    ///
    /// # Errors
    /// If `qkv` has another extent.
    pub fn window_attention(&mut self, qkv: Var, shape: WindowAttentionShape) -> Result<Var> {
        let n = shape.rows() * shape.width();
        self.expect("window_attention", "qkv", qkv, 3 * n)?;
        let out = self.intermediate(n, &[qkv]);
        let logsumexp = self.statistic(shape.rows() * shape.heads);
        self.operations.push(Box::new(WindowAttention { qkv, out, logsumexp, shape }));
        Ok(out)
    }
}

impl Step for WindowAttention {
    fn name(&self) -> &'static str {
        "window_attention_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.qkv, Access::Read);
        f(self.out, Access::Write);
        f(self.logsumexp, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.window_attention_forward(&WindowAttentionForward {
            qkv: memory.get(self.qkv)?,
            out: memory.get(self.out)?,
            logsumexp: memory.get(self.logsumexp)?,
            shape: self.shape,
        })?)
    }
}

impl Operation for WindowAttention {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        if let (Some(d_out), true) = (backward.of(self.out), backward.wants(self.qkv)) {
            let op = self.clone();
            backward.overwrite(self.qkv, |d_qkv| Gradient { op, d_out, d_qkv });
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Gradient {
    op: WindowAttention,
    d_out: Var,
    d_qkv: Var,
}

impl Step for Gradient {
    fn name(&self) -> &'static str {
        "window_attention_backward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        for var in [self.op.qkv, self.op.out, self.op.logsumexp, self.d_out] {
            f(var, Access::Read);
        }
        f(self.d_qkv, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.window_attention_backward(&WindowAttentionBackward {
            qkv: memory.get(self.op.qkv)?,
            out: memory.get(self.op.out)?,
            logsumexp: memory.get(self.op.logsumexp)?,
            d_out: memory.get(self.d_out)?,
            d_qkv: memory.get(self.d_qkv)?,
            shape: self.op.shape,
        })?)
    }
}
