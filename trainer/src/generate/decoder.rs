//! The decoder, one token at a time: the same function as the recorded programs, with the keys
//! and values of the window kept instead of computed again.

use ltm_engine::ops::{EmbeddingForward, LatentAttentionShape, WindowAttentionShape};
use ltm_engine::{Buffer, DType, Device, DeviceExt, Result};

use super::layer::{Layer, Scratch, linear};
use crate::config::ModelConfig;
use crate::model::{BatchShape, Parameters, latent_shape, window_shape};

/// One token and one sequence at a time.
const ONE: BatchShape = BatchShape { batch: 1, seq: 1 };

/// A decoder and what it remembers of one sequence.
pub(super) struct Decoder {
    /// `[V, D]`.
    embedding: Buffer,
    norm: Buffer,
    layers: Vec<Layer>,
    scratch: Scratch,
    token: Buffer,
    logits: Buffer,
    window: WindowAttentionShape,
    latent: LatentAttentionShape,
    eps: f32,
    /// Tokens seen.
    position: usize,
}

impl Decoder {
    pub(super) fn new(
        device: &mut dyn Device,
        model: &ModelConfig,
        parameters: &Parameters,
    ) -> Result<Self> {
        let (layout, weights) = (&parameters.layout, parameters.weights());
        let layers = (0..model.layers)
            .map(|layer| Layer::new(device, model, layout, weights, layer))
            .collect::<Result<_>>()?;
        Ok(Self {
            embedding: weights.slice(layout.embedding())?,
            norm: weights.slice(layout.norm())?,
            layers,
            scratch: Scratch::new(device, model, weights.dtype())?,
            token: device.alloc(DType::I32, 1)?,
            logits: device.alloc(weights.dtype(), model.vocab_size)?,
            window: window_shape(model, ONE),
            latent: latent_shape(model, ONE),
            eps: model.norm_eps as f32,
            position: 0,
        })
    }

    /// Starts a sequence that thinks `z`, `[L, M, D]`. The caches need no clearing: attention
    /// reads only the slots that this sequence has filled.
    pub(super) fn start(&mut self, device: &mut dyn Device, z: &Buffer) -> Result<()> {
        self.position = 0;
        let size = z.len() / self.layers.len();
        for (index, layer) in self.layers.iter().enumerate() {
            let z = z.slice(index * size..(index + 1) * size)?;
            layer.condition(device, &z, self.window.width())?;
        }
        Ok(())
    }

    /// Tokens seen since the start, which is the position of the next one.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Appends a token to the sequence.
    pub(super) fn push(&mut self, device: &mut dyn Device, token: i32) -> Result<()> {
        let dim = self.window.width();
        device.upload(&self.token, &[token])?;
        device.embedding_forward(&EmbeddingForward {
            table: &self.embedding,
            tokens: &self.token,
            out: &self.scratch.stream[0],
            rows: 1,
            width: dim,
            vocab: self.embedding.len() / dim,
        })?;
        let shapes = (self.window, self.latent);
        for layer in &self.layers {
            layer.step(device, &mut self.scratch, shapes, self.position, self.eps)?;
        }
        self.position += 1;
        Ok(())
    }

    /// Logits `[vocab]` of the token after the last one, for the first `vocab` ids.
    pub(super) fn logits(&mut self, device: &mut dyn Device, vocab: usize) -> Result<Buffer> {
        let scratch = &self.scratch;
        let rows = self.embedding.slice(0..vocab * self.window.width())?;
        let logits = self.logits.slice(0..vocab)?;
        scratch.norm(device, &self.norm, self.eps)?;
        linear(device, &scratch.normed, &rows, None, &logits)?;
        Ok(logits)
    }
}
