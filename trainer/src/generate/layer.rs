//! One decoder layer, a few rows at a time.

use ltm_engine::ops::{
    EmbeddingForward, LatentAttentionForward, LatentAttentionShape, LinearForward, RmsNormForward,
    SwigluForward, WindowAttentionDecode, WindowAttentionShape,
};
use ltm_engine::{Buffer, DType, Device, Result};

use crate::config::ModelConfig;
use crate::model::ParameterLayout;

/// Neighbouring rows of a step: one token of each of `texts` neighbouring texts at one position,
/// or `tokens` tokens of one text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// First row.
    pub(super) row: usize,
    /// First text, by its place in the caches.
    pub(super) slot: usize,
    /// Texts; 1 if there are several tokens.
    pub(super) texts: usize,
    /// Tokens of each.
    pub(super) tokens: usize,
    /// Position of the first token.
    pub(super) position: usize,
}

impl Run {
    fn rows(&self) -> usize {
        self.texts * self.tokens
    }
}

/// What every layer needs to know of a step.
pub(super) struct Step<'a> {
    /// Of one text and one token.
    pub(super) window: WindowAttentionShape,
    /// Of one text and one token.
    pub(super) latent: LatentAttentionShape,
    pub(super) eps: f32,
    /// Rows in all.
    pub(super) rows: usize,
    /// Which rows these are, in order.
    pub(super) runs: &'a [Run],
}

/// Rows `first..first + count` of a matrix whose rows have `width` numbers.
pub(super) fn rows(buffer: &Buffer, first: usize, count: usize, width: usize) -> Result<Buffer> {
    buffer.slice(first * width..(first + count) * width)
}

/// Buffers for a number of rows, shared by all layers; in storage but for `inv_rms`, which is f32.
pub(super) struct Scratch {
    dim: usize,
    hidden: usize,
    /// `[2][rows, D]`: the residual stream, and where its next state is written.
    stream: [Buffer; 2],
    /// `[rows, D]`.
    normed: Buffer,
    /// `[rows]`.
    inv_rms: Buffer,
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
        rows: usize,
    ) -> Result<Self> {
        let (d, f) = (model.dim, model.ffn_dim());
        let inv_rms = device.alloc(DType::F32, rows)?;
        let mut numbers = |width: usize| device.alloc(storage, rows * width);
        Ok(Self {
            dim: d,
            hidden: f,
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

    /// `stream = table[tokens]` for `count` tokens.
    pub(super) fn embed(
        &self,
        device: &mut dyn Device,
        table: &Buffer,
        tokens: &Buffer,
        count: usize,
    ) -> Result<()> {
        device.embedding_forward(&EmbeddingForward {
            table,
            tokens: &tokens.slice(0..count)?,
            out: &rows(&self.stream[0], 0, count, self.dim)?,
            rows: count,
            width: self.dim,
            vocab: table.len() / self.dim,
        })
    }

    /// `rms_norm(stream)`, `[count, D]`.
    pub(super) fn norm(
        &self,
        device: &mut dyn Device,
        weight: &Buffer,
        (eps, count): (f32, usize),
    ) -> Result<Buffer> {
        let out = rows(&self.normed, 0, count, self.dim)?;
        device.rms_norm_forward(&RmsNormForward {
            x: &rows(&self.stream[0], 0, count, self.dim)?,
            residual: None,
            weight,
            out: &out,
            inv_rms: &self.inv_rms.slice(0..count)?,
            rows: count,
            width: self.dim,
            eps,
        })?;
        Ok(out)
    }

    /// `stream += x weight^T` for `count` rows.
    fn add_to_stream(
        &mut self,
        device: &mut dyn Device,
        weight: &Buffer,
        x: &Buffer,
        count: usize,
    ) -> Result<()> {
        let [stream, next] = &self.stream;
        let (stream, next) = (rows(stream, 0, count, self.dim)?, rows(next, 0, count, self.dim)?);
        linear(device, x, weight, Some(&stream), &next, count)?;
        self.stream.swap(0, 1);
        Ok(())
    }
}

/// `out = x weight^T (+ residual)` for `count` rows, each as if it were alone.
pub(super) fn linear(
    device: &mut dyn Device,
    x: &Buffer,
    weight: &Buffer,
    residual: Option<&Buffer>,
    out: &Buffer,
    count: usize,
) -> Result<()> {
    device.linear_decode(&LinearForward {
        x,
        weight,
        residual,
        out,
        rows: count,
        inner: x.len() / count,
        outer: out.len() / count,
    })
}

/// Weights of a layer, and what it remembers of the texts.
pub(super) struct Layer {
    attention_norm: Buffer,
    qkv: Buffer,
    attention_out: Buffer,
    /// Absent from a model without latents.
    cross: Option<Cross>,
    ffn_norm: Buffer,
    gate_up: Buffer,
    down: Buffer,
    /// `[texts, window, D]`: rotated keys, a ring for each text.
    keys: Buffer,
    /// `[texts, window, D]`.
    values: Buffer,
}

/// Weights of a layer's latent attention, and what it attends to.
struct Cross {
    norm: Buffer,
    q: Buffer,
    kv: Buffer,
    out: Buffer,
    /// `[texts, M, 2, D]`: keys and values of the latents.
    latents: Buffer,
}

impl Layer {
    /// Layer `layer` of the flat vector of `weights`, for up to `texts` texts.
    pub(super) fn new(
        device: &mut dyn Device,
        model: &ModelConfig,
        layout: &ParameterLayout,
        weights: &Buffer,
        (layer, texts): (usize, usize),
    ) -> Result<Self> {
        let ranges = layout.layer(layer);
        let mut numbers = |len: usize| device.alloc(weights.dtype(), texts * len);
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

    /// Computes the keys and values of the latents `z` `[M, D]` of this layer for the text in
    /// `slot`, once per z.
    pub(super) fn condition(
        &self,
        device: &mut dyn Device,
        slot: usize,
        (z, dim): (&Buffer, usize),
    ) -> Result<()> {
        let Some(cross) = &self.cross else { return Ok(()) };
        let count = z.len() / dim;
        let out = rows(&cross.latents, slot * count, count, 2 * dim)?;
        linear(device, z, &cross.kv, None, &out, count)
    }

    /// Takes the residual stream of some rows through the layer. The layer has seen all earlier
    /// tokens of their texts.
    pub(super) fn step(
        &self,
        device: &mut dyn Device,
        scratch: &mut Scratch,
        step: &Step<'_>,
    ) -> Result<()> {
        let (d, f, count) = (scratch.dim, scratch.hidden, step.rows);
        let normed = scratch.norm(device, &self.attention_norm, (step.eps, count))?;
        let qkv = rows(&scratch.qkv, 0, count, 3 * d)?;
        let attended = rows(&scratch.attended, 0, count, d)?;
        linear(device, &normed, &self.qkv, None, &qkv, count)?;
        for run in step.runs {
            self.attend_window(device, run, &step.window, (&qkv, &attended))?;
        }
        scratch.add_to_stream(device, &self.attention_out, &attended, count)?;

        if let Some(cross) = &self.cross {
            let normed = scratch.norm(device, &cross.norm, (step.eps, count))?;
            let queries = rows(&scratch.queries, 0, count, d)?;
            linear(device, &normed, &cross.q, None, &queries, count)?;
            for run in step.runs {
                let per_text = 2 * step.latent.latents * d;
                device.latent_attention_forward(&LatentAttentionForward {
                    q: &rows(&queries, run.row, run.rows(), d)?,
                    kv: &rows(&cross.latents, run.slot, run.texts, per_text)?,
                    out: &rows(&attended, run.row, run.rows(), d)?,
                    shape: LatentAttentionShape {
                        batch: run.texts,
                        seq: run.tokens,
                        first_position: run.position,
                        ..step.latent
                    },
                })?;
            }
            scratch.add_to_stream(device, &cross.out, &attended, count)?;
        }

        let normed = scratch.norm(device, &self.ffn_norm, (step.eps, count))?;
        let gate_up = rows(&scratch.gate_up, 0, count, 2 * f)?;
        let gated = rows(&scratch.gated, 0, count, f)?;
        linear(device, &normed, &self.gate_up, None, &gate_up, count)?;
        device.swiglu_forward(&SwigluForward {
            gate_up: &gate_up,
            out: &gated,
            rows: count,
            width: f,
        })?;
        scratch.add_to_stream(device, &self.down, &gated, count)
    }

    /// Attention of the rows of `run`, which enter the rings of their texts.
    fn attend_window(
        &self,
        device: &mut dyn Device,
        run: &Run,
        window: &WindowAttentionShape,
        (qkv, attended): (&Buffer, &Buffer),
    ) -> Result<()> {
        let d = window.width();
        for token in 0..run.tokens {
            let row = run.row + token;
            let ring = |cache: &Buffer| rows(cache, run.slot, run.texts, window.window * d);
            device.window_attention_decode(&WindowAttentionDecode {
                qkv: &rows(qkv, row, run.texts, 3 * d)?,
                keys: &ring(&self.keys)?,
                values: &ring(&self.values)?,
                out: &rows(attended, row, run.texts, d)?,
                position: run.position + token,
                shape: WindowAttentionShape { batch: run.texts, ..*window },
            })?;
        }
        Ok(())
    }
}
