//! Cross-attention from tokens to latents with the projection behind it.

use ltm_engine::Device;
use ltm_engine::ops::{
    LatentAttentionLinearBackward, LatentAttentionLinearForward, LatentAttentionShape,
};

use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

/// Arguments of [`Tape::latent_attention_linear`].
#[derive(Clone, Copy, Debug)]
pub struct LatentAttentionLinearArgs {
    /// `[batch, seq, heads, head_dim]`, unrotated.
    pub q: Var,
    /// `[batch, latents, 2, heads, head_dim]`: unrotated keys, and values.
    pub kv: Var,
    /// `[width, width]`, `width = heads * head_dim`.
    pub weight: Var,
    /// `[batch, seq, width]`, added to the product.
    pub residual: Var,
    /// Extents.
    pub shape: LatentAttentionShape,
}

#[derive(Clone, Debug)]
struct LatentAttentionLinear {
    args: LatentAttentionLinearArgs,
    out: Var,
}

impl Tape {
    /// `residual + attention weight^T` with the attention of every token to every latent:
    /// `[batch, seq, width]`.
    ///
    /// # Errors
    /// If a value has another extent.
    pub fn latent_attention_linear(&mut self, args: LatentAttentionLinearArgs) -> Result<Var> {
        const OP: &str = "latent_attention_linear";
        let s = &args.shape;
        self.expect(OP, "q", args.q, s.rows() * s.width())?;
        self.expect(OP, "kv", args.kv, 2 * s.batch * s.latents * s.width())?;
        self.expect(OP, "weight", args.weight, s.width() * s.width())?;
        self.expect(OP, "residual", args.residual, s.rows() * s.width())?;
        let inputs = [args.q, args.kv, args.weight, args.residual];
        let out = self.intermediate(s.rows() * s.width(), &inputs);
        self.operations.push(Box::new(LatentAttentionLinear { args, out }));
        Ok(out)
    }
}

impl Step for LatentAttentionLinear {
    fn name(&self) -> &'static str {
        "latent_attention_linear_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        let LatentAttentionLinearArgs { q, kv, weight, residual, .. } = self.args;
        for var in [q, kv, weight, residual] {
            f(var, Access::Read);
        }
        f(self.out, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.latent_attention_linear_forward(&LatentAttentionLinearForward {
            q: memory.get(self.args.q)?,
            kv: memory.get(self.args.kv)?,
            weight: memory.get(self.args.weight)?,
            residual: memory.get(self.args.residual)?,
            out: memory.get(self.out)?,
            shape: self.args.shape,
        })?)
    }
}

impl Operation for LatentAttentionLinear {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        let Some(d_out) = backward.of(self.out) else { return Ok(()) };
        let LatentAttentionLinearArgs { q, kv, weight, residual, .. } = self.args;
        let d_weight = backward.weight("latent_attention_linear", "weight", weight)?;
        let wants_q = backward.wants(q);
        if wants_q || backward.wants(kv) || d_weight.is_some() {
            let d_q = wants_q.then(|| backward.into(q));
            let op = self.clone();
            backward.overwrite(kv, |d_kv| Gradient { op, d_out, d_q, d_kv, d_weight });
        }
        backward.pass(residual, d_out);
        Ok(())
    }
}

#[derive(Debug)]
struct Gradient {
    op: LatentAttentionLinear,
    d_out: Var,
    d_q: Option<(Var, bool)>,
    d_kv: Var,
    d_weight: Option<Var>,
}

impl Step for Gradient {
    fn name(&self) -> &'static str {
        "latent_attention_linear_backward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        let LatentAttentionLinearArgs { q, kv, weight, .. } = self.op.args;
        for var in [q, kv, weight, self.d_out] {
            f(var, Access::Read);
        }
        if let Some((d_q, add)) = self.d_q {
            f(d_q, if add { Access::Update } else { Access::Write });
        }
        f(self.d_kv, Access::Write);
        if let Some(d_weight) = self.d_weight {
            f(d_weight, Access::Update);
        }
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.latent_attention_linear_backward(&LatentAttentionLinearBackward {
            q: memory.get(self.op.args.q)?,
            kv: memory.get(self.op.args.kv)?,
            weight: memory.get(self.op.args.weight)?,
            d_out: memory.get(self.d_out)?,
            d_q: memory.maybe(self.d_q.map(|(var, _)| var))?,
            accumulate_q: self.d_q.is_some_and(|(_, add)| add),
            d_kv: memory.get(self.d_kv)?,
            d_weight: memory.maybe(self.d_weight)?,
            shape: self.op.args.shape,
        })?)
    }
}
