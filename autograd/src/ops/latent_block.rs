//! Latent attention with the products around it and the norm after it, as one operation wherever
//! nobody wants the gradient of a weight in it.

use ltm_engine::Device;
use ltm_engine::ops::{
    KvGradient, LatentAttentionReduce, LatentAttentionShape, LatentBlockBackward,
    LatentBlockForward, QueryProduct, QuerySource,
};

use super::latent_attention::LatentAttentionArgs;
use super::linear::LinearArgs;
use super::rms_norm::RmsNorm;
use crate::backward::{Backward, Sums};
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

/// Where queries come from.
#[derive(Clone, Copy, Debug)]
pub enum Queries {
    /// They are there: `[batch, seq, heads, head_dim]`, unrotated.
    Given(Var),
    /// `x weight^T`.
    Product {
        /// `[rows, width]`.
        x: Var,
        /// `[width, width]`.
        weight: Var,
    },
}

/// Arguments of [`Tape::latent_block`].
#[derive(Clone, Copy, Debug)]
pub struct LatentBlockArgs {
    /// The queries.
    pub queries: Queries,
    /// `[batch, latents, 2, heads, head_dim]`: unrotated keys, and values.
    pub kv: Var,
    /// `[width, width]`.
    pub out_weight: Var,
    /// `[rows, width]`, added to the product.
    pub residual: Var,
    /// `[width]`: of the norm.
    pub gain: Var,
    /// Of the norm.
    pub eps: f32,
    /// Extents.
    pub shape: LatentAttentionShape,
}

#[derive(Clone, Debug)]
struct LatentBlock {
    args: LatentBlockArgs,
    q: Var,
    /// Of the result.
    norm: RmsNorm,
    /// What the queries were made of, if that wants a gradient.
    source: Option<Source>,
}

/// The norm of the residual that was multiplied with `weight`.
#[derive(Clone, Debug)]
struct Source {
    weight: Var,
    norm: RmsNorm,
}

impl Tape {
    /// `out = residual + a out_weight^T`, where `a` is the attention of every token to every
    /// latent, and the norm of `out`; both `[rows, width]`.
    ///
    /// # Errors
    /// If a value has another extent.
    pub fn latent_block(&mut self, args: LatentBlockArgs) -> Result<(Var, Var)> {
        const OP: &str = "latent_block";
        let LatentBlockArgs { queries, kv, out_weight, residual, gain, eps, shape: s } = args;
        let (rows, width) = (s.rows(), s.width());
        let len = rows * width;
        self.expect(OP, "kv", kv, 2 * s.batch * s.latents * width)?;
        self.expect(OP, "out_weight", out_weight, width * width)?;
        self.expect(OP, "residual", residual, len)?;
        self.expect(OP, "gain", gain, width)?;
        match queries {
            Queries::Given(q) => self.expect(OP, "q", q, len)?,
            Queries::Product { x, weight } => {
                self.expect(OP, "x", x, len)?;
                self.expect(OP, "weight", weight, width * width)?;
            }
        }
        let Some(source) = self.source(&args) else { return self.apart(args) };
        let (q, inputs) = match queries {
            Queries::Given(q) => (q, [residual, kv, q]),
            Queries::Product { x, .. } => (self.intermediate(len, &[x]), [residual, kv, x]),
        };
        let out = self.intermediate(len, &inputs);
        let norm = RmsNorm::record(self, out, gain, (rows, width), eps);
        let normed = norm.out;
        self.operations.push(Box::new(LatentBlock { args, q, norm, source }));
        Ok((out, normed))
    }

    /// How a gradient goes on below the queries; `None` where that takes the operations by
    /// themselves.
    fn source(&self, args: &LatentBlockArgs) -> Option<Option<Source>> {
        let LatentBlockArgs { queries, kv, out_weight, residual, gain, .. } = *args;
        let wants = |var| self.needs_gradient(var);
        if wants(out_weight) || wants(gain) {
            return None;
        }
        let (x, weight) = match queries {
            Queries::Given(q) => return (!wants(q)).then_some(None),
            Queries::Product { x, weight } => (x, weight),
        };
        if wants(weight) {
            return None;
        }
        if !wants(x) {
            return Some(None);
        }
        let norm = self.norms.iter().find(|norm| norm.out == x)?.clone();
        let direct = norm.x == residual && !wants(norm.weight) && wants(kv);
        direct.then_some(Some(Source { weight, norm }))
    }

    fn apart(&mut self, args: LatentBlockArgs) -> Result<(Var, Var)> {
        let LatentBlockArgs { queries, kv, out_weight, residual, gain, eps, shape } = args;
        let (inner, outer) = (shape.width(), shape.width());
        let q = match queries {
            Queries::Given(q) => q,
            Queries::Product { x, weight } => {
                self.linear(LinearArgs { x, weight, residual: None, inner, outer })?
            }
        };
        let x = self.latent_attention(LatentAttentionArgs { q, kv, shape })?;
        let (weight, residual) = (out_weight, Some(residual));
        let out = self.linear(LinearArgs { x, weight, residual, inner, outer })?;
        Ok((out, self.rms_norm(out, gain, eps)?))
    }
}

impl Step for LatentBlock {
    fn name(&self) -> &'static str {
        "latent_block_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        let LatentBlockArgs { queries, kv, out_weight, residual, gain, .. } = self.args;
        match queries {
            Queries::Given(q) => f(q, Access::Read),
            Queries::Product { x, weight } => {
                f(x, Access::Read);
                f(weight, Access::Read);
                f(self.q, Access::Write);
            }
        }
        for var in [kv, out_weight, residual, gain] {
            f(var, Access::Read);
        }
        for var in [self.norm.x, self.norm.out, self.norm.inv_rms] {
            f(var, Access::Write);
        }
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        let query = match self.args.queries {
            Queries::Given(_) => None,
            Queries::Product { x, weight } => {
                Some(QueryProduct { x: memory.get(x)?, weight: memory.get(weight)? })
            }
        };
        Ok(device.latent_block_forward(&LatentBlockForward {
            query,
            q: memory.get(self.q)?,
            kv: memory.get(self.args.kv)?,
            out_weight: memory.get(self.args.out_weight)?,
            residual: memory.get(self.args.residual)?,
            gain: memory.get(self.args.gain)?,
            out: memory.get(self.norm.x)?,
            normed: memory.get(self.norm.out)?,
            inv_rms: memory.get(self.norm.inv_rms)?,
            eps: self.args.eps,
            shape: self.args.shape,
        })?)
    }
}

impl Operation for LatentBlock {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        self.norm.backward(backward)?;
        let Some(d_out) = backward.of(self.norm.x) else { return Ok(()) };
        if backward.wants(self.args.kv) {
            let with_source = self.source.is_some();
            let len = LatentBlockBackward::room(&self.args.shape, with_source);
            let room = backward.room(self.norm.x, len);
            let (op, shape) = (self.clone(), self.args.shape);
            match backward.sums(self.args.kv, shape.sums_len()) {
                Some(Sums { part, complete }) => {
                    backward.push(Gradient { op, d_out, d_kv: part, sums: true, room });
                    if let Some((sums, d_kv)) = complete {
                        backward.push(Reduce { sums, d_kv, shape });
                    }
                }
                None => backward.overwrite(self.args.kv, |d_kv| Gradient {
                    op,
                    d_out,
                    d_kv,
                    sums: false,
                    room,
                }),
            }
        }
        backward.pass(self.args.residual, d_out);
        Ok(())
    }
}

#[derive(Debug)]
struct Gradient {
    op: LatentBlock,
    d_out: Var,
    /// The gradient, or the sums that it is to be made of.
    d_kv: Var,
    sums: bool,
    room: Var,
}

impl Step for Gradient {
    fn name(&self) -> &'static str {
        "latent_block_backward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        for var in [self.op.q, self.op.args.kv, self.op.args.out_weight] {
            f(var, Access::Read);
        }
        match &self.op.source {
            None => f(self.d_out, Access::Read),
            Some(Source { weight, norm }) => {
                for var in [*weight, norm.x, norm.weight, norm.inv_rms] {
                    f(var, Access::Read);
                }
                f(self.d_out, Access::Update);
            }
        }
        f(self.d_kv, Access::Write);
        f(self.room, Access::Room);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        let source = match &self.op.source {
            None => None,
            Some(Source { weight, norm }) => Some(QuerySource {
                weight: memory.get(*weight)?,
                residual: memory.get(norm.x)?,
                gain: memory.get(norm.weight)?,
                inv_rms: memory.get(norm.inv_rms)?,
            }),
        };
        let d_kv = memory.get(self.d_kv)?;
        let d_kv = match self.sums {
            true => KvGradient::Sums(d_kv),
            false => KvGradient::Complete(d_kv),
        };
        Ok(device.latent_block_backward(&LatentBlockBackward {
            d_out: memory.get(self.d_out)?,
            q: memory.get(self.op.q)?,
            kv: memory.get(self.op.args.kv)?,
            out_weight: memory.get(self.op.args.out_weight)?,
            source,
            d_kv,
            room: memory.get(self.room)?,
            shape: self.op.args.shape,
        })?)
    }
}

/// The gradients of all keys and values that are parts of one value.
#[derive(Debug)]
struct Reduce {
    sums: Var,
    d_kv: Var,
    /// Of each.
    shape: LatentAttentionShape,
}

impl Step for Reduce {
    fn name(&self) -> &'static str {
        "latent_attention_reduce"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.sums, Access::Read);
        f(self.d_kv, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        let (sums, d_kv) = (memory.get(self.sums)?, memory.get(self.d_kv)?);
        let groups = d_kv.len() / self.shape.kv_len().max(1);
        let shape = self.shape;
        Ok(device.latent_attention_reduce(&LatentAttentionReduce { sums, d_kv, groups, shape })?)
    }
}
