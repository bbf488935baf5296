//! One decoder layer, one token at a time.

use ltm_engine::ops::{
    LatentAttentionForward, LatentAttentionShape, LinearForward, RmsNormForward, SwigluForward,
    WindowAttentionDecode, WindowAttentionShape,
};
use ltm_engine::{Buffer, DType, Device, Result};

use crate::config::ModelConfig;
use crate::model::ParameterLayout;

/// Buffers for one token, shared by all layers; in storage but for `inv_rms`, which is f32.
pub(super) struct Scratch {
    /// `[2][D]`: the residual stream, and where its next state is written.
    pub(super) stream: [Buffer; 2],
    /// `[D]`.
    pub(super) normed: Buffer,
    /// `[1]`.
    pub(super) inv_rms: Buffer,
    qkv: Buffer,
    attended: Buffer,
    queries: Buffer,
    gate_up: Buffer,
    gated: Buffer,
}

impl Scratch {
    pub(super) fn new(
        device: &mut dyn Device,
        model: &ModelConfig,
        storage: DType,
    ) -> Result<Self> {
        let (d, f) = (model.dim, model.ffn_dim());
        let inv_rms = device.alloc(DType::F32, 1)?;
        let mut numbers = |len: usize| device.alloc(storage, len);
        Ok(Self {
            stream: [numbers(d)?, numbers(d)?],
            normed: numbers(d)?,
            inv_rms,
            qkv: numbers(3 * d)?,
            attended: numbers(d)?,
            queries: numbers(d)?,
            gate_up: numbers(2 * f)?,
            gated: numbers(f)?,
        })
    }

    /// `normed = rms_norm(stream)`.
    pub(super) fn norm(&self, device: &mut dyn Device, weight: &Buffer, eps: f32) -> Result<()> {
        device.rms_norm_forward(&RmsNormForward {
            x: &self.stream[0],
            residual: None,
            weight,
            out: &self.normed,
            inv_rms: &self.inv_rms,
            rows: 1,
            width: self.normed.len(),
            eps,
        })
    }

    /// `stream += x weight^T`.
    fn add_to_stream(
        &mut self,
        device: &mut dyn Device,
        weight: &Buffer,
        x: fn(&Self) -> &Buffer,
    ) -> Result<()> {
        let [stream, next] = &self.stream;
        linear(device, x(self), weight, Some(stream), next)?;
        self.stream.swap(0, 1);
        Ok(())
    }
}

/// `out = x weight^T (+ residual)` for one row.
pub(super) fn linear(
    device: &mut dyn Device,
    x: &Buffer,
    weight: &Buffer,
    residual: Option<&Buffer>,
    out: &Buffer,
) -> Result<()> {
    device.linear_forward(&LinearForward {
        x,
        weight,
        residual,
        out,
        rows: 1,
        inner: x.len(),
        outer: out.len(),
    })
}

/// Weights of a layer, and what it remembers of the sequence.
pub(super) struct Layer {
    attention_norm: Buffer,
    qkv: Buffer,
    attention_out: Buffer,
    /// Absent from a model without latents.
    cross: Option<Cross>,
    ffn_norm: Buffer,
    gate_up: Buffer,
    down: Buffer,
    /// `[window, D]`: rotated keys, a ring.
    keys: Buffer,
    /// `[window, D]`.
    values: Buffer,
}

/// Weights of a layer's latent attention, and what it attends to.
struct Cross {
    norm: Buffer,
    q: Buffer,
    kv: Buffer,
    out: Buffer,
    /// `[M, 2, D]`: keys and values of the latents.
    latents: Buffer,
}

impl Layer {
    /// Layer `layer` of the flat vector of `weights`.
    pub(super) fn new(
        device: &mut dyn Device,
        model: &ModelConfig,
        layout: &ParameterLayout,
        weights: &Buffer,
        layer: usize,
    ) -> Result<Self> {
        let ranges = layout.layer(layer);
        let mut numbers = |len: usize| device.alloc(weights.dtype(), len);
        let cross = match ranges.cross {
            None => None,
            Some(cross) => Some(Cross {
                norm: weights.slice(cross.norm)?,
                q: weights.slice(cross.q)?,
                kv: weights.slice(cross.kv)?,
                out: weights.slice(cross.out)?,
                latents: numbers(2 * model.latents_per_layer() * model.dim)?,
            }),
        };
        Ok(Self {
            attention_norm: weights.slice(ranges.attention_norm)?,
            qkv: weights.slice(ranges.qkv)?,
            attention_out: weights.slice(ranges.attention_out)?,
            cross,
            ffn_norm: weights.slice(ranges.ffn_norm)?,
            gate_up: weights.slice(ranges.gate_up)?,
            down: weights.slice(ranges.down)?,
            keys: numbers(model.window * model.dim)?,
            values: numbers(model.window * model.dim)?,
        })
    }

    /// Computes the keys and values of the latents `z` `[M, D]` of this layer, once per text.
    pub(super) fn condition(&self, device: &mut dyn Device, z: &Buffer, dim: usize) -> Result<()> {
        let Some(cross) = &self.cross else { return Ok(()) };
        device.linear_forward(&LinearForward {
            x: z,
            weight: &cross.kv,
            residual: None,
            out: &cross.latents,
            rows: z.len() / dim,
            inner: dim,
            outer: 2 * dim,
        })
    }

    /// Takes the residual stream of the token at `position` through the layer. The layer has
    /// seen the tokens at all earlier positions.
    pub(super) fn step(
        &self,
        device: &mut dyn Device,
        scratch: &mut Scratch,
        (window, latent): (WindowAttentionShape, LatentAttentionShape),
        position: usize,
        eps: f32,
    ) -> Result<()> {
        scratch.norm(device, &self.attention_norm, eps)?;
        linear(device, &scratch.normed, &self.qkv, None, &scratch.qkv)?;
        device.window_attention_decode(&WindowAttentionDecode {
            qkv: &scratch.qkv,
            keys: &self.keys,
            values: &self.values,
            out: &scratch.attended,
            position,
            shape: window,
        })?;
        scratch.add_to_stream(device, &self.attention_out, |s| &s.attended)?;

        if let Some(cross) = &self.cross {
            scratch.norm(device, &cross.norm, eps)?;
            linear(device, &scratch.normed, &cross.q, None, &scratch.queries)?;
            device.latent_attention_forward(&LatentAttentionForward {
                q: &scratch.queries,
                kv: &cross.latents,
                out: &scratch.attended,
                shape: LatentAttentionShape { first_position: position, ..latent },
            })?;
            scratch.add_to_stream(device, &cross.out, |s| &s.attended)?;
        }

        scratch.norm(device, &self.ffn_norm, eps)?;
        linear(device, &scratch.normed, &self.gate_up, None, &scratch.gate_up)?;
        device.swiglu_forward(&SwigluForward {
            gate_up: &scratch.gate_up,
            out: &scratch.gated,
            rows: 1,
            width: scratch.gated.len(),
        })?;
        scratch.add_to_stream(device, &self.down, |s| &s.gated)
    }
}
