//! Where z comes from.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ltm_engine::{Buffer, DType, Device, DeviceExt, bf16};

use super::{Generator, Request};
use crate::config::FastConfig;
use crate::model::BatchShape;
use crate::passes::{PassPlan, Purpose};
use crate::posterior::{Draw, WeightGradients, draw_prior, draw_start, infer};
use crate::workspace::Workspace;
use crate::{Result, sites};

/// Where z comes from. A model without latents has none, and writes the same text either way.
#[derive(Clone, Debug, PartialEq)]
pub enum Latents {
    /// The model's prior: N(0, I), or the one that it has learned.
    Prior,
    /// The posterior of the prompt, inferred with these settings; their peak learning rate is
    /// `lr`. See [`crate::posterior::inference_settings`].
    Posterior(FastConfig),
    /// z itself, `[L, M, D]`.
    Given(Arc<[f32]>),
}

/// Inference of z from the text so far, again and again (the second way of the paper to write).
///
/// Each time the fast loop starts anew on the last tokens of prompt and text, which then stand
/// at positions from 0 on, as in training; what was kept of the window is computed again, for it
/// depends on z.
#[derive(Clone, Debug, PartialEq)]
pub struct Refit {
    /// New tokens between two inferences, at least 1.
    pub every: usize,
    /// Tokens that z is inferred from at most, the last ones: 2 to `model.max_seq_len`.
    pub last: usize,
    /// Settings of the fast loop, as of [`Latents::Posterior`].
    pub fast: FastConfig,
}

/// What the fast loop found of n tokens, of which it predicts the last n - 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thought {
    /// Tokens predicted.
    pub tokens: usize,
    /// Their nats in all before each fast step, `[steps]`.
    pub nll: Vec<f64>,
    /// KL from the prior before each fast step, nats, `[steps]`.
    pub kl: Vec<f64>,
}

impl Generator {
    /// Starts the text of `request` in `slot` with its first z.
    pub(super) fn think(
        &mut self,
        device: &mut dyn Device,
        slot: usize,
        request: &Request<'_>,
    ) -> Result<Option<Thought>> {
        match &request.latents {
            Latents::Posterior(fast) if !self.config.model.is_autoregressive() => {
                let draw = request.draw(sites::VALIDATION_OFFSET, 0);
                let (thought, z) = self.fit(device, request.prompt, fast, draw, request.stop)?;
                self.decoder.start(device, slot, &z)?;
                Ok(Some(thought))
            }
            Latents::Prior | Latents::Posterior(_) => {
                draw_prior(device, &self.workspace, request.draw(0, 0))?;
                self.decoder.start(device, slot, &self.workspace.z)?;
                Ok(None)
            }
            Latents::Given(z) => {
                match self.given.dtype() {
                    DType::BF16 => {
                        let rounded: Vec<bf16> = z.iter().map(|&x| bf16::from_f32(x)).collect();
                        device.upload(&self.given, &rounded)?;
                    }
                    _ => device.upload(&self.given, z)?,
                }
                self.decoder.start(device, slot, &self.given)?;
                Ok(None)
            }
        }
    }

    /// Infers z, `[L, M, D]`, from at least two tokens, alone: in a batch its products would round
    /// differently.
    pub(super) fn fit(
        &mut self,
        device: &mut dyn Device,
        tokens: &[i32],
        fast: &FastConfig,
        draw: Draw,
        stop: &AtomicBool,
    ) -> Result<(Thought, Buffer)> {
        let shape = BatchShape { batch: 1, seq: tokens.len() - 1 };
        let plan = PassPlan::record(&self.config, shape, Purpose::Inference, device.processor())?;
        let (model, storage) = (&self.config.model, self.config.storage());
        let mut workspace = Workspace::new(device, model, shape, (storage, false), fast.steps)?;
        let passes = plan.allocate(device, &self.weights, &workspace)?;
        workspace.load(device, &tokens[..shape.seq], &tokens[1..])?;
        draw_start(device, &workspace, &self.config.posterior, draw)?;
        let none = WeightGradients::None;
        infer(device, &passes, &mut workspace, fast, fast.lr, none, stop)?;
        let trace = workspace.read_trace(device, fast.steps)?;
        let thought = Thought {
            tokens: shape.seq,
            nll: trace.nll.into_iter().flatten().collect(),
            kl: trace.kl.into_iter().flatten().collect(),
        };
        Ok((thought, workspace.z))
    }
}

impl Request<'_> {
    /// Random numbers of inference number `iteration` of this text.
    pub(super) fn draw(&self, site_offset: u32, iteration: u32) -> Draw {
        Draw { seed: self.sampling.seed, iteration, first_sample: self.sample, site_offset }
    }
}
