//! Cross-attention from tokens to latents.

use ltm_engine::Device;
use ltm_engine::ops::{
    KvGradient, LatentAttentionBackward, LatentAttentionForward, LatentAttentionShape,
};

use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

/// Arguments of [`Tape::latent_attention`].
#[derive(Clone, Copy, Debug)]
pub struct LatentAttentionArgs {
    /// `[batch, seq, heads, head_dim]`, unrotated.
    pub q: Var,
    /// `[batch, latents, 2, heads, head_dim]`: unrotated keys, and values.
    pub kv: Var,
    /// Extents.
    pub shape: LatentAttentionShape,
}

#[derive(Clone, Debug)]
struct LatentAttention {
    args: LatentAttentionArgs,
    out: Var,
}

impl Tape {
    /// Attention of every token to every latent: `[batch, seq, heads, head_dim]`.
    ///
    /// # Errors
    /// If a value has another extent.
    pub fn latent_attention(&mut self, args: LatentAttentionArgs) -> Result<Var> {
        const OP: &str = "latent_attention";
        let s = &args.shape;
        self.expect(OP, "q", args.q, s.rows() * s.width())?;
        self.expect(OP, "kv", args.kv, 2 * s.batch * s.latents * s.width())?;
        let out = self.intermediate(s.rows() * s.width(), &[args.q, args.kv]);
        self.operations.push(Box::new(LatentAttention { args, out }));
        Ok(out)
    }
}

impl Step for LatentAttention {
    fn name(&self) -> &'static str {
        "latent_attention_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.args.q, Access::Read);
        f(self.args.kv, Access::Read);
        f(self.out, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.latent_attention_forward(&LatentAttentionForward {
            q: memory.get(self.args.q)?,
            kv: memory.get(self.args.kv)?,
            out: memory.get(self.out)?,
            shape: self.args.shape,
        })?)
    }
}

impl Operation for LatentAttention {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        let Some(d_out) = backward.of(self.out) else { return Ok(()) };
        let wants_q = backward.wants(self.args.q);
        if !wants_q && !backward.wants(self.args.kv) {
            return Ok(());
        }
        let d_q = wants_q.then(|| backward.into(self.args.q));
        let op = self.clone();
        backward.overwrite(self.args.kv, |d_kv| Gradient { op, d_out, d_q, d_kv });
        Ok(())
    }
}

#[derive(Debug)]
struct Gradient {
    op: LatentAttention,
    d_out: Var,
    d_q: Option<(Var, bool)>,
    d_kv: Var,
}

impl Step for Gradient {
    fn name(&self) -> &'static str {
        "latent_attention_backward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        for var in [self.op.args.q, self.op.args.kv, self.d_out] {
            f(var, Access::Read);
        }
        if let Some((d_q, add)) = self.d_q {
            f(d_q, if add { Access::Update } else { Access::Write });
        }
        f(self.d_kv, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.latent_attention_backward(&LatentAttentionBackward {
            q: memory.get(self.op.args.q)?,
            kv: memory.get(self.op.args.kv)?,
            d_out: memory.get(self.d_out)?,
            d_q: memory.maybe(self.d_q.map(|(var, _)| var))?,
            accumulate_q: self.d_q.is_some_and(|(_, add)| add),
            d_kv: KvGradient::Complete(memory.get(self.d_kv)?),
            shape: self.op.args.shape,
        })?)
    }
}
