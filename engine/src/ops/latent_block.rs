//! Latent attention with what stands around it in a layer: the product that makes its queries, the
//! one that adds its result to the residual stream, and the norm that follows.

use super::{
    KvGradient, LatentAttentionBackward, LatentAttentionForward, LatentAttentionShape,
    LinearBackwardInput, LinearForward, Ops, RmsNormBackward, RmsNormForward, check,
};
use crate::{Buffer, Result};

/// What queries are made of.
#[derive(Debug)]
pub struct QueryProduct<'a> {
    /// `[rows, width]` storage.
    pub x: &'a Buffer,
    /// `[width, width]` storage.
    pub weight: &'a Buffer,
}

/// `q = x weight^T`, `a` the attention of `q` to the latents, `out = residual + a out_weight^T`,
/// `normed = out * inv_rms * gain`: [`LinearForward`], [`LatentAttentionForward`],
/// [`LinearForward`] and [`RmsNormForward`] one after the other. `rows` and `width` are those of the
/// shape.
#[derive(Debug)]
pub struct LatentBlockForward<'a> {
    /// What `q` is computed from; without it `q` is given.
    pub query: Option<QueryProduct<'a>>,
    /// `[batch, seq, heads, head_dim]` storage, unrotated; overwritten where `query` is there.
    pub q: &'a Buffer,
    /// `[batch, latents, 2, heads, head_dim]` storage: unrotated k, and v.
    pub kv: &'a Buffer,
    /// `[width, width]` storage.
    pub out_weight: &'a Buffer,
    /// `[rows, width]` storage.
    pub residual: &'a Buffer,
    /// `[width]` storage.
    pub gain: &'a Buffer,
    /// `[rows, width]` storage, overwritten.
    pub out: &'a Buffer,
    /// `[rows, width]` storage, overwritten.
    pub normed: &'a Buffer,
    /// `[rows]` f32, overwritten; kept for the backward pass of the norm.
    pub inv_rms: &'a Buffer,
    /// Added to the mean square.
    pub eps: f32,
    /// Extents.
    pub shape: LatentAttentionShape,
}

impl LatentBlockForward<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "latent_block_forward";
        let (s, width) = (&self.shape, self.shape.width());
        s.check(OP)?;
        let (n, square) = (s.rows() * width, width * width);
        let t = check::storage(OP, "q", self.q)?;
        check::buffer(OP, "q", self.q, t, n)?;
        check::buffer(OP, "kv", self.kv, t, 2 * s.batch * s.latents * width)?;
        check::buffer(OP, "out_weight", self.out_weight, t, square)?;
        check::buffer(OP, "residual", self.residual, t, n)?;
        check::buffer(OP, "gain", self.gain, t, width)?;
        check::buffer(OP, "out", self.out, t, n)?;
        check::buffer(OP, "normed", self.normed, t, n)?;
        check::floats(OP, "inv_rms", self.inv_rms, s.rows())?;
        let outputs = [self.out, self.normed, self.inv_rms, self.q];
        let inputs = [self.kv, self.out_weight, self.residual, self.gain];
        match &self.query {
            None => {
                let inputs = [self.q, inputs[0], inputs[1], inputs[2], inputs[3]];
                check::distinct(OP, &outputs[..3], &inputs)
            }
            Some(QueryProduct { x, weight }) => {
                check::buffer(OP, "x", x, t, n)?;
                check::buffer(OP, "weight", weight, t, square)?;
                let inputs = [x, weight, inputs[0], inputs[1], inputs[2], inputs[3]];
                check::distinct(OP, &outputs, &inputs)
            }
        }
    }

    /// The operation as those that it is made of.
    pub(crate) fn in_steps(&self, ops: &mut (impl Ops + ?Sized)) -> Result<()> {
        let (shape, out, normed) = (self.shape, self.out, self.normed);
        let (rows, width) = (shape.rows(), shape.width());
        let (inner, outer) = (width, width);
        if let Some(QueryProduct { x, weight }) = self.query {
            let (residual, out) = (None, self.q);
            ops.linear_forward(&LinearForward { x, weight, residual, out, rows, inner, outer })?;
        }
        // What comes last overwrites it.
        let attended = normed;
        let (q, kv) = (self.q, self.kv);
        ops.latent_attention_forward(&LatentAttentionForward { q, kv, out: attended, shape })?;
        let (x, weight, residual) = (attended, self.out_weight, Some(self.residual));
        ops.linear_forward(&LinearForward { x, weight, residual, out, rows, inner, outer })?;
        ops.rms_norm_forward(&RmsNormForward {
            x: out,
            residual: None,
            weight: self.gain,
            out: normed,
            inv_rms: self.inv_rms,
            rows,
            width,
            eps: self.eps,
        })
    }
}

/// Where queries came from: `q = rms_norm(residual) weight^T`.
#[derive(Debug)]
pub struct QuerySource<'a> {
    /// `[width, width]` storage.
    pub weight: &'a Buffer,
    /// `[rows, width]` storage: what the norm was of, and the result is added to.
    pub residual: &'a Buffer,
    /// `[width]` storage: of the norm.
    pub gain: &'a Buffer,
    /// `[rows]` f32, of the norm's forward pass.
    pub inv_rms: &'a Buffer,
}

/// From the gradient of [`LatentBlockForward::out`], whatever flows through the norm after it
/// included, to those of the keys and values, and of the residual stream where the queries came
/// from it too: [`LinearBackwardInput`], [`LatentAttentionBackward`], and with a source
/// [`LinearBackwardInput`] and [`RmsNormBackward`].
#[derive(Debug)]
pub struct LatentBlockBackward<'a> {
    /// `[rows, width]` storage. With a source it becomes the gradient of the residual: what flows
    /// back through the queries is added.
    pub d_out: &'a Buffer,
    /// `[batch, seq, heads, head_dim]` storage, unrotated.
    pub q: &'a Buffer,
    /// `[batch, latents, 2, heads, head_dim]` storage: unrotated k, and v.
    pub kv: &'a Buffer,
    /// `[width, width]` storage.
    pub out_weight: &'a Buffer,
    /// Of the queries; without it their gradient is not computed.
    pub source: Option<QuerySource<'a>>,
    /// Of keys and values.
    pub d_kv: KvGradient<'a>,
    /// [`LatentBlockBackward::room`] numbers in storage, overwritten with something: for results
    /// between the steps, where they are computed one by one.
    pub room: &'a Buffer,
    /// Extents.
    pub shape: LatentAttentionShape,
}

impl LatentBlockBackward<'_> {
    /// Numbers of `room`.
    pub const fn room(shape: &LatentAttentionShape, with_source: bool) -> usize {
        let each = shape.rows() * shape.width();
        if with_source { 2 * each } else { each }
    }

    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "latent_block_backward";
        let (s, width) = (&self.shape, self.shape.width());
        s.check(OP)?;
        let (n, kv) = (s.rows() * width, 2 * s.batch * s.latents * width);
        let t = check::storage(OP, "d_out", self.d_out)?;
        check::buffer(OP, "d_out", self.d_out, t, n)?;
        check::buffer(OP, "q", self.q, t, n)?;
        check::buffer(OP, "kv", self.kv, t, kv)?;
        check::buffer(OP, "out_weight", self.out_weight, t, width * width)?;
        self.d_kv.check(OP, t, s)?;
        check::buffer(OP, "room", self.room, t, Self::room(s, self.source.is_some()))?;
        let inputs = [self.q, self.kv, self.out_weight];
        let Some(QuerySource { weight, residual, gain, inv_rms }) = &self.source else {
            let inputs = [self.d_out, inputs[0], inputs[1], inputs[2]];
            return check::distinct(OP, &[self.d_kv.buffer(), self.room], &inputs);
        };
        check::buffer(OP, "weight", weight, t, width * width)?;
        check::buffer(OP, "residual", residual, t, n)?;
        check::buffer(OP, "gain", gain, t, width)?;
        check::floats(OP, "inv_rms", inv_rms, s.rows())?;
        let inputs = [inputs[0], inputs[1], inputs[2], weight, residual, gain, inv_rms];
        check::distinct(OP, &[self.d_out, self.d_kv.buffer(), self.room], &inputs)
    }

    /// The operation as those that it is made of.
    pub(crate) fn in_steps(&self, ops: &mut (impl Ops + ?Sized)) -> Result<()> {
        let (shape, kv, d_kv) = (self.shape, self.kv, self.d_kv);
        let (rows, width) = (shape.rows(), shape.width());
        let (inner, outer) = (width, width);
        let part = |i: usize| self.room.slice(i * rows * width..(i + 1) * rows * width);
        let attended = part(0)?;
        let d_q = self.source.as_ref().map(|_| part(1)).transpose()?;
        ops.linear_backward_input(&LinearBackwardInput {
            d_out: self.d_out,
            weight: self.out_weight,
            d_x: &attended,
            accumulate: false,
            rows,
            inner,
            outer,
        })?;
        ops.latent_attention_backward(&LatentAttentionBackward {
            q: self.q,
            kv,
            d_out: &attended,
            d_q: d_q.as_ref(),
            accumulate_q: false,
            d_kv,
            shape,
        })?;
        let (Some(source), Some(d_q)) = (&self.source, d_q) else { return Ok(()) };
        let d_normed = attended;
        ops.linear_backward_input(&LinearBackwardInput {
            d_out: &d_q,
            weight: source.weight,
            d_x: &d_normed,
            accumulate: false,
            rows,
            inner,
            outer,
        })?;
        ops.rms_norm_backward(&RmsNormBackward {
            d_out: &d_normed,
            x: source.residual,
            weight: source.gain,
            inv_rms: source.inv_rms,
            d_x: Some(self.d_out),
            accumulate: true,
            d_weight: None,
            rows,
            width,
        })
    }
}
