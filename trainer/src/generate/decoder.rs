//! The decoder, a few tokens at a time: the same function as the recorded programs, with the keys
//! and values of the window kept instead of computed again.

use ltm_engine::ops::{LatentAttentionShape, WindowAttentionShape};
use ltm_engine::{Buffer, DType, Device, DeviceExt, Result};

use super::layer::{Layer, Run, Scratch, Step, linear, rows};
use crate::config::ModelConfig;
use crate::model::{BatchShape, Parameters, latent_shape, window_shape};

const ONE: BatchShape = BatchShape { batch: 1, seq: 1 };

/// Tokens of a prompt that are fed at once: enough that the weights are read seldom, few enough
/// that their activations stay in the caches.
const FED_AT_ONCE: usize = 32;

/// A decoder and what it remembers of some texts, each in a slot of its own. What it computes
/// for one of them depends neither on the others nor on how many tokens it is fed at once: not by
/// a bit, on any device.
pub(super) struct Decoder {
    /// `[V, D]`.
    embedding: Buffer,
    norm: Buffer,
    layers: Vec<Layer>,
    scratch: Scratch,
    /// `[rows]` i32.
    tokens: Buffer,
    /// `[texts, V]`.
    logits: Buffer,
    window: WindowAttentionShape,
    latent: LatentAttentionShape,
    eps: f32,
    /// Tokens that each text has.
    positions: Vec<usize>,
}

impl Decoder {
    /// For up to `texts` texts.
    pub(super) fn new(
        device: &mut dyn Device,
        model: &ModelConfig,
        parameters: &Parameters,
        texts: usize,
    ) -> Result<Self> {
        let (layout, weights) = (&parameters.layout, parameters.weights());
        let layers = (0..model.layers)
            .map(|layer| Layer::new(device, model, layout, weights, (layer, texts)))
            .collect::<Result<_>>()?;
        let rows = texts.max(FED_AT_ONCE);
        Ok(Self {
            embedding: weights.slice(layout.embedding())?,
            norm: weights.slice(layout.norm())?,
            layers,
            scratch: Scratch::new(device, model, weights.dtype(), rows)?,
            tokens: device.alloc(DType::I32, rows)?,
            logits: device.alloc(weights.dtype(), texts * model.vocab_size)?,
            window: window_shape(model, ONE),
            latent: latent_shape(model, ONE),
            eps: model.norm_eps as f32,
            positions: vec![0; texts],
        })
    }

    /// Texts there is room for.
    pub(super) fn texts(&self) -> usize {
        self.positions.len()
    }

    /// Starts a text that thinks `z`, `[L, M, D]`, in `slot`. The caches need no clearing:
    /// attention reads only what this text has filled.
    pub(super) fn start(&mut self, device: &mut dyn Device, slot: usize, z: &Buffer) -> Result<()> {
        self.positions[slot] = 0;
        let size = z.len() / self.layers.len();
        for (index, layer) in self.layers.iter().enumerate() {
            let z = z.slice(index * size..(index + 1) * size)?;
            layer.condition(device, slot, (&z, self.window.width()))?;
        }
        Ok(())
    }

    /// Appends tokens to the text in `slot`.
    pub(super) fn feed(
        &mut self,
        device: &mut dyn Device,
        slot: usize,
        tokens: &[i32],
    ) -> Result<()> {
        for tokens in tokens.chunks(FED_AT_ONCE) {
            let (position, tokens_fed) = (self.positions[slot], tokens.len());
            let run = Run { row: 0, slot, texts: 1, tokens: tokens_fed, position };
            self.run(device, tokens, &[run])?;
            self.positions[slot] += tokens_fed;
        }
        Ok(())
    }

    /// Appends one token to each of some texts, slots in ascending order.
    pub(super) fn step(&mut self, device: &mut dyn Device, rows: &[(usize, i32)]) -> Result<()> {
        let mut runs: Vec<Run> = Vec::new();
        for (row, &(slot, _)) in rows.iter().enumerate() {
            let position = self.positions[slot];
            match runs.last_mut() {
                Some(run) if run.slot + run.texts == slot && run.position == position => {
                    run.texts += 1;
                }
                _ => runs.push(Run { row, slot, texts: 1, tokens: 1, position }),
            }
        }
        let tokens: Vec<i32> = rows.iter().map(|&(_, token)| token).collect();
        self.run(device, &tokens, &runs)?;
        for &(slot, _) in rows {
            self.positions[slot] += 1;
        }
        Ok(())
    }

    fn run(&mut self, device: &mut dyn Device, tokens: &[i32], runs: &[Run]) -> Result<()> {
        let count = tokens.len();
        device.upload(&self.tokens.slice(0..count)?, tokens)?;
        self.scratch.embed(device, &self.embedding, &self.tokens, count)?;
        let (window, latent) = (self.window, self.latent);
        let step = Step { window, latent, eps: self.eps, rows: count, runs };
        for layer in &self.layers {
            layer.step(device, &mut self.scratch, &step)?;
        }
        Ok(())
    }

    /// Logits `[count, vocab]` of the tokens after those of the last [`Decoder::step`], which had
    /// `count` rows, for the first `vocab` ids.
    pub(super) fn logits(
        &mut self,
        device: &mut dyn Device,
        count: usize,
        vocab: usize,
    ) -> Result<Buffer> {
        let weight = rows(&self.embedding, 0, vocab, self.window.width())?;
        let logits = rows(&self.logits, 0, count, vocab)?;
        let normed = self.scratch.norm(device, &self.norm, (self.eps, count))?;
        linear(device, &normed, &weight, None, &logits, count)?;
        Ok(logits)
    }
}
