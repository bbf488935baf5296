//! The most probable token of every place, which the loss never tells.

use ltm_autograd::{Program, Segment};
use ltm_engine::ops::{LinearForward, Sample};
use ltm_engine::philox::Stream;
use ltm_engine::{Buffer, Device, DeviceExt};

use crate::config::{Config, ModelConfig};
use crate::model::{Parameters, SuffixArgs, record_suffix};
use crate::workspace::Workspace;
use crate::{Result, sites};

/// Rows whose logits are held at once.
const ROWS: usize = 128;

/// A pass that ends in the final hidden states, and the projection of them to tokens.
pub(crate) struct Reconstruction {
    program: Program,
    /// `[rows, D]` storage.
    hidden: Buffer,
    /// `[V, D]` storage.
    embedding: Buffer,
    /// `[ROWS, V]` storage, or less.
    logits: Buffer,
    /// `[ROWS]` i32, or less.
    tokens: Buffer,
    model: ModelConfig,
    rows: usize,
}

impl Reconstruction {
    /// Allocates for the micro-batches of `workspace`, whose prefix and z it reads.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub(crate) fn new(
        device: &mut dyn Device,
        config: &Config,
        parameters: &Parameters,
        workspace: &Workspace,
    ) -> Result<Self> {
        let (model, layout) = (&config.model, &parameters.layout);
        let (shape, storage) = (workspace.shape, config.storage());
        let processor = device.processor();
        let args =
            SuffixArgs { shape, latents: false, weights: false, scale: 1.0, storage, processor };
        let mut last = None;
        let mut tap = |tape: &mut ltm_autograd::Tape, name: &str, var: ltm_autograd::Var| {
            if name == "norm" {
                tape.export(var);
                last = Some(var);
            }
        };
        let mut suffix = record_suffix(model, layout, args, &mut tap)?;
        let hidden = device.alloc(storage, shape.rows() * model.dim)?;
        suffix.bindings.bind(&mut suffix.program, parameters, &|slot| workspace.slot(slot))?;
        if let Some(var) = last {
            suffix.program.bind(var, &hidden)?;
        }
        suffix.program.place_alone(device)?;
        let held = shape.rows().min(ROWS);
        Ok(Self {
            program: suffix.program,
            hidden,
            embedding: parameters.weights().slice(layout.embedding())?,
            logits: device.alloc(storage, held * model.vocab_size)?,
            tokens: device.alloc(ltm_engine::DType::I32, held)?,
            model: model.clone(),
            rows: shape.rows(),
        })
    }

    /// `[batch, T]`: the most probable token of every place at the z at hand, the smaller id where
    /// two are as probable.
    pub(crate) fn guess(&mut self, device: &mut dyn Device) -> Result<Vec<i32>> {
        self.program.run(Segment::All, device)?;
        let (width, vocab) = (self.model.dim, self.model.vocab_size);
        let mut guesses = Vec::with_capacity(self.rows);
        for start in (0..self.rows).step_by(ROWS) {
            let rows = ROWS.min(self.rows - start);
            let logits = self.logits.slice(0..rows * vocab)?;
            let tokens = self.tokens.slice(0..rows)?;
            device.linear_forward(&LinearForward {
                x: &self.hidden.slice(start * width..(start + rows) * width)?,
                weight: &self.embedding,
                residual: None,
                out: &logits,
                rows,
                inner: width,
                outer: vocab,
            })?;
            device.sample(&Sample {
                logits: &logits,
                tokens: &tokens,
                rows,
                vocab,
                temperature: 0.0,
                top_k: 0,
                top_p: 1.0,
                // Nothing is drawn at temperature 0.
                stream: Stream { seed: 0, site: sites::SAMPLE_TOKEN, sample: 0, iteration: 0 },
                position: 0,
            })?;
            guesses.extend(device.read::<i32>(&tokens)?);
        }
        Ok(guesses)
    }
}
