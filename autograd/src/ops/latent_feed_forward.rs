//! Cross-attention from tokens to latents and the gated feed-forward block behind it, from what
//! is known of the residual stream before there are latents.

use ltm_engine::Device;
use ltm_engine::ops::{
    LatentAttentionSwigluBackward, LatentAttentionSwigluForward, LatentAttentionSwigluInputs,
    LatentAttentionSwigluShape, LatentAttentionSwigluWeights,
};

use super::LatentAttentionLinearArgs;
use super::feed_forward::Down;
use super::linear::{Linear, LinearArgs};
use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

/// Arguments of [`Tape::latent_feed_forward`].
#[derive(Clone, Copy, Debug)]
pub struct LatentFeedForwardArgs {
    /// The attention, its projection and the residual stream, a constant or external value whose
    /// gradient is added to.
    pub attention: LatentAttentionLinearArgs,
    /// `[dim]`: the gain of the norm before the feed-forward block.
    pub gain: Var,
    /// `[2 * width, dim]`: the rows of gate, then those of up.
    pub gate_up: Var,
    /// `[dim, width]`.
    pub down: Var,
    /// `[rows, 2, width]`: `rms_norm(residual) gate_up^T`, as `residual` a constant or external
    /// value whose gradient is added to.
    pub base: Var,
    /// Hidden features.
    pub width: usize,
    /// Added to the mean square of a row by the norm.
    pub eps: f32,
}

/// The residual stream behind the attention, and the hidden features.
#[derive(Clone, Debug)]
struct Hidden {
    args: LatentFeedForwardArgs,
    out: Var,
    inv_rms: Var,
    gate_up: Var,
    hidden: Var,
}

impl Tape {
    /// `h = residual + attention weight^T`, and
    /// `h + (silu(gate) * up) down^T` with `[gate, up] = rms_norm(h) gate_up^T`; both
    /// `[rows, dim]`.
    ///
    /// # Errors
    /// If a value has another extent.
    pub fn latent_feed_forward(&mut self, args: LatentFeedForwardArgs) -> Result<[Var; 2]> {
        const OP: &str = "latent_feed_forward";
        let LatentFeedForwardArgs { attention, gain, gate_up, down, base, width, .. } = args;
        let LatentAttentionLinearArgs { q, kv, weight, residual, shape } = attention;
        let (rows, dim) = (shape.rows(), shape.width());
        self.expect(OP, "q", q, rows * dim)?;
        self.expect(OP, "kv", kv, 2 * shape.batch * shape.latents * dim)?;
        self.expect(OP, "weight", weight, dim * dim)?;
        self.expect(OP, "residual", residual, rows * dim)?;
        self.expect(OP, "gain", gain, dim)?;
        self.expect(OP, "gate_up", gate_up, 2 * width * dim)?;
        self.expect(OP, "down", down, width * dim)?;
        self.expect(OP, "base", base, 2 * rows * width)?;
        let inputs = [q, kv, weight, residual, gain, gate_up, base];
        let out = self.intermediate(rows * dim, &inputs);
        let inv_rms = self.statistic(rows);
        let gate_up = self.intermediate(2 * rows * width, &inputs);
        let hidden = self.intermediate(rows * width, &inputs);
        self.operations.push(Box::new(Hidden { args, out, inv_rms, gate_up, hidden }));
        let residual = Some(out);
        let product = LinearArgs { x: hidden, weight: down, residual, inner: width, outer: dim };
        let product = Linear::record(self, OP, product)?;
        let result = product.out;
        self.operations.push(Box::new(Down { product, gate_up }));
        Ok([out, result])
    }
}

impl Hidden {
    fn inputs(&self) -> [Var; 7] {
        let LatentFeedForwardArgs { attention, gain, gate_up, base, .. } = self.args;
        let LatentAttentionLinearArgs { q, kv, weight, residual, .. } = attention;
        [q, kv, weight, residual, gain, gate_up, base]
    }

    fn shape(&self) -> LatentAttentionSwigluShape {
        let LatentFeedForwardArgs { attention, width, eps, .. } = self.args;
        LatentAttentionSwigluShape { attention: attention.shape, width, eps }
    }

    fn buffers<'a>(&self, memory: &'a Memory) -> Result<LatentAttentionSwigluInputs<'a>> {
        let [q, kv, weight, residual, gain, gate_up, base] = self.inputs();
        Ok(LatentAttentionSwigluInputs {
            q: memory.get(q)?,
            kv: memory.get(kv)?,
            weight: memory.get(weight)?,
            residual: memory.get(residual)?,
            gain: memory.get(gain)?,
            gate_up_weight: memory.get(gate_up)?,
            base: memory.get(base)?,
        })
    }
}

impl Step for Hidden {
    fn name(&self) -> &'static str {
        "latent_attention_swiglu_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        for var in self.inputs() {
            f(var, Access::Read);
        }
        for var in [self.out, self.inv_rms, self.gate_up, self.hidden] {
            f(var, Access::Write);
        }
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.latent_attention_swiglu_forward(&LatentAttentionSwigluForward {
            inputs: self.buffers(memory)?,
            out: memory.get(self.out)?,
            inv_rms: memory.get(self.inv_rms)?,
            gate_up: memory.get(self.gate_up)?,
            hidden: memory.get(self.hidden)?,
            shape: self.shape(),
        })?)
    }
}

impl Operation for Hidden {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    /// The gradient of gate and up is there: [`Down`] has put it there, and that of `out` too.
    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        const OP: &str = "latent_feed_forward";
        let (Some(d_out), Some(d_gate_up)) = (backward.of(self.out), backward.of(self.gate_up))
        else {
            return Ok(());
        };
        let [q, kv, weight, residual, gain, gate_up, base] = self.inputs();
        let weights = [
            backward.weight(OP, "weight", weight)?,
            backward.weight(OP, "gain", gain)?,
            backward.weight(OP, "gate_up", gate_up)?,
            backward.weight(OP, "residual", residual)?,
            backward.weight(OP, "base", base)?,
        ];
        let weights = match weights {
            [Some(weight), Some(gain), Some(gate_up), Some(residual), Some(base)] => {
                Some([weight, gain, gate_up, residual, base])
            }
            [None, None, None, None, None] => None,
            _ => return Err(crate::Error::Mode { op: OP, what: "one of several weights" }),
        };
        let d_q = backward.wants(q).then(|| backward.into(q));
        let op = self.clone();
        backward.overwrite(kv, |d_kv| Gradient { op, d_out, d_gate_up, d_q, d_kv, weights });
        Ok(())
    }
}

#[derive(Debug)]
struct Gradient {
    op: Hidden,
    d_out: Var,
    d_gate_up: Var,
    d_q: Option<(Var, bool)>,
    d_kv: Var,
    /// Of the projection, the gain, gate and up, the residual and the base.
    weights: Option<[Var; 5]>,
}

impl Step for Gradient {
    fn name(&self) -> &'static str {
        "latent_attention_swiglu_backward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        let Hidden { out, inv_rms, gate_up, .. } = self.op;
        for var in self.op.inputs() {
            f(var, Access::Read);
        }
        for var in [out, inv_rms, gate_up, self.d_out, self.d_gate_up] {
            f(var, Access::Read);
        }
        if let Some((d_q, add)) = self.d_q {
            f(d_q, if add { Access::Update } else { Access::Write });
        }
        f(self.d_kv, Access::Write);
        self.weights.into_iter().flatten().for_each(|var| f(var, Access::Update));
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        let weights = match self.weights {
            None => None,
            Some([weight, gain, gate_up, residual, base]) => Some(LatentAttentionSwigluWeights {
                d_weight: memory.get(weight)?,
                d_gain: memory.get(gain)?,
                d_gate_up_weight: memory.get(gate_up)?,
                d_residual: memory.get(residual)?,
                d_base: memory.get(base)?,
            }),
        };
        Ok(device.latent_attention_swiglu_backward(&LatentAttentionSwigluBackward {
            inputs: self.op.buffers(memory)?,
            out: memory.get(self.op.out)?,
            inv_rms: memory.get(self.op.inv_rms)?,
            gate_up: memory.get(self.op.gate_up)?,
            d_out: memory.get(self.d_out)?,
            d_gate_up: memory.get(self.d_gate_up)?,
            d_q: memory.maybe(self.d_q.map(|(var, _)| var))?,
            accumulate_q: self.d_q.is_some_and(|(_, add)| add),
            d_kv: memory.get(self.d_kv)?,
            weights,
            shape: self.op.shape(),
        })?)
    }
}
