//! Prediction of the loaded texts at whatever z is: losses, and the most probable tokens.

use ltm_autograd::{Program, Segment, Tape, Var};
use ltm_engine::ops::{LinearForward, Sample};
use ltm_engine::philox::Stream;
use ltm_engine::{Buffer, DType, Device, DeviceExt};

use super::Score;
use crate::Result;
use crate::config::Config;
use crate::latents::Text;
use crate::model::{Parameters, SuffixArgs, record_suffix};
use crate::workspace::Workspace;

/// Logits held at once.
const LOGITS: usize = 1 << 22;

/// A pass from the prefix and z to the losses that keeps the last hidden states, bound to a
/// workspace.
pub struct Reconstruction {
    program: Program,
    /// `[B T, D]` storage: what is projected to logits.
    hidden: Buffer,
    /// `[V, D]` storage.
    embedding: Buffer,
    /// `[rows at once, V]` storage.
    logits: Buffer,
    /// `[B T]` i32: the most probable token after each.
    chosen: Buffer,
    vocab: usize,
}

impl Reconstruction {
    /// Records and allocates it for the shape of `workspace`.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn new(
        device: &mut dyn Device,
        config: &Config,
        weights: &Parameters,
        workspace: &Workspace,
    ) -> Result<Self> {
        let (shape, storage, model) = (workspace.shape, config.storage(), &config.model);
        let args = SuffixArgs { shape, latents: false, weights: false, scale: 1.0, storage };
        let mut last = None;
        let mut tap = |tape: &mut Tape, name: &str, var: Var| {
            if name == "norm" {
                tape.export(var);
                last = Some(var);
            }
        };
        let suffix = record_suffix(model, &weights.layout, args, &mut tap)?;
        let mut program = suffix.program;
        let rows = shape.rows();
        let hidden = device.alloc(storage, rows * model.dim)?;
        suffix.bindings.bind(&mut program, weights, &|slot| workspace.slot(slot))?;
        if let Some(last) = last {
            program.bind(last, &hidden)?;
        }
        program.place_alone(device)?;
        let vocab = model.vocab_size;
        let at_once = (LOGITS / vocab).clamp(1, rows);
        Ok(Self {
            program,
            hidden,
            embedding: weights.weights().slice(weights.layout.embedding())?,
            logits: device.alloc(storage, at_once * vocab)?,
            chosen: device.alloc(DType::I32, rows)?,
            vocab,
        })
    }

    /// Scores the loaded texts at the z of the workspace, whose prefix has been computed.
    ///
    /// # Errors
    /// If the device fails.
    pub fn scores(
        &self,
        device: &mut dyn Device,
        workspace: &Workspace,
        texts: &[&Text],
    ) -> Result<Vec<Score>> {
        self.program.run(Segment::All, device)?;
        self.choose(device, workspace.shape.rows())?;
        let nll: Vec<f32> = device.read(&workspace.token_nll)?;
        let chosen: Vec<i32> = device.read(&self.chosen)?;
        let seq = workspace.shape.seq;
        let rows = nll.chunks_exact(seq).zip(chosen.chunks_exact(seq));
        let score = |(text, (nll, chosen)): (&&Text, (&[f32], &[i32]))| Score {
            nll: nll[..text.tokens()].iter().map(|&x| f64::from(x)).sum(),
            correct: text.ids[1..].iter().zip(chosen).filter(|(a, b)| a == b).count() as u64,
        };
        Ok(texts.iter().zip(rows).map(score).collect())
    }

    /// Finds the most probable token after each row; the lowest of equals.
    fn choose(&self, device: &mut dyn Device, rows: usize) -> Result<()> {
        let (vocab, dim) = (self.vocab, self.hidden.len() / rows);
        let at_once = self.logits.len() / vocab;
        for first in (0..rows).step_by(at_once) {
            let count = at_once.min(rows - first);
            let logits = self.logits.slice(0..count * vocab)?;
            device.linear_forward(&LinearForward {
                x: &self.hidden.slice(first * dim..(first + count) * dim)?,
                weight: &self.embedding,
                residual: None,
                out: &logits,
                rows: count,
                inner: dim,
                outer: vocab,
            })?;
            device.sample(&Sample {
                logits: &logits,
                tokens: &self.chosen.slice(first..first + count)?,
                rows: count,
                vocab,
                temperature: 0.0,
                top_k: 0,
                top_p: 1.0,
                // Nothing is drawn at temperature 0.
                stream: Stream { seed: 0, site: 0, sample: 0, iteration: 0 },
                position: 0,
            })?;
        }
        Ok(())
    }

    /// `[B T, D]`.
    #[cfg(test)]
    pub(super) fn hidden(&self) -> &Buffer {
        &self.hidden
    }

    /// `[V, D]`.
    #[cfg(test)]
    pub(super) fn embedding(&self) -> &Buffer {
        &self.embedding
    }

    /// Projects so many rows at once from here on.
    #[cfg(test)]
    pub(super) fn project_at_once(&mut self, device: &mut dyn Device, rows: usize) {
        self.logits = device.alloc(self.logits.dtype(), rows * self.vocab).unwrap();
    }
}
