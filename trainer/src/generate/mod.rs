//! Text from a model: first a thought, then its words.
//!
//! z comes from the prior, or from the posterior of a prompt, inferred by the fast loop
//! as in evaluation. Then tokens are decoded one by one, each seeing the `window` tokens before
//! it and all of z.
//!
//! A text may grow beyond `model.max_seq_len`: window attention reaches only back, whatever
//! the position. But the model was trained on positions below it, the latents' positions lie
//! below it, and latent attention at larger distances is extrapolation, so expect quality to
//! fall there.
//!
//! Everything drawn is a function of (seed, sample, position): the same request gives the same
//! text.

mod decoder;
mod error;
mod layer;
mod sampling;
#[cfg(test)]
mod tests;

pub use error::GenerateError;
pub use sampling::Sampling;

use std::sync::atomic::{AtomicBool, Ordering};

use ltm_engine::ops::Sample;
use ltm_engine::philox::Stream;
use ltm_engine::{Buffer, DType, Device, DeviceExt};

use crate::config::{Config, FastConfig};
use crate::model::{BatchShape, Parameters};
use crate::passes::{PassPlan, Purpose};
use crate::posterior::{Draw, WeightGradients, draw_prior, draw_start, infer};
use crate::workspace::Workspace;
use crate::{Result, sites};
use decoder::Decoder;

/// Where z comes from. A model without latents has none, and writes the same text either way.
#[derive(Clone, Debug, PartialEq)]
pub enum Latents {
    /// The model's prior: N(0, I), or the one that it has learned.
    Prior,
    /// The posterior of the prompt, inferred with these settings; their peak learning rate is
    /// `lr`. See [`crate::posterior::inference_settings`].
    Posterior(FastConfig),
}

/// What to write.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Tokens to continue, at least one; the end-of-text token starts a new document. At least
    /// 2 and at most `model.max_seq_len` if z is inferred from them.
    pub prompt: &'a [i32],
    /// Where z comes from.
    pub latents: Latents,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Number of the text among those of this seed; each has its own random numbers.
    pub sample: u32,
    /// Ends the text early once this is set.
    pub stop: &'a AtomicBool,
}

/// Why a text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has [`Sampling::max_tokens`].
    Length,
    /// [`Sampling::end`] was drawn.
    EndOfText,
    /// [`Request::stop`] was set.
    Stopped,
}

/// What the fast loop found of a prompt of n tokens, of which it predicts the last n - 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Thought {
    /// Tokens predicted.
    pub tokens: usize,
    /// Their nats in all before each fast step, `[steps]`.
    pub nll: Vec<f64>,
    /// KL from the prior before each fast step, nats, `[steps]`.
    pub kl: Vec<f64>,
}

/// A text.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// The new tokens, without the prompt.
    pub tokens: Vec<i32>,
    /// Why there are no more.
    pub end: End,
    /// How z was inferred; `None` if it was drawn from the prior, or there is none.
    pub thought: Option<Thought>,
}

/// Writes texts with the weights of [`Parameters`], one at a time. It shares their memory, so
/// the texts of a trainer's generator come from the weights as they are at the time.
pub struct Generator {
    config: Config,
    weights: Parameters,
    decoder: Decoder,
    /// For latents of the prior.
    workspace: Workspace,
    /// `[1]` i32.
    token: Buffer,
}

impl Generator {
    /// Allocates the caches: `2 * window * D` numbers per layer.
    ///
    /// # Errors
    /// If the configuration is contradictory or the device has no memory left.
    pub fn new(device: &mut dyn Device, config: &Config, parameters: &Parameters) -> Result<Self> {
        let shape = BatchShape { batch: 1, seq: 1 };
        let workspace = Workspace::new(device, &config.model, shape, (config.storage(), false), 0)?;
        workspace.know_prior(parameters)?;
        Ok(Self {
            config: config.clone(),
            weights: parameters.frozen(),
            decoder: Decoder::new(device, &config.model, parameters)?,
            workspace,
            token: device.alloc(DType::I32, 1)?,
        })
    }

    /// Writes one text; `emit` gets each new token as soon as it is drawn.
    ///
    /// # Errors
    /// [`GenerateError`], [`crate::Error::Interrupted`] if it was stopped before z was inferred, or
    /// a device that fails.
    pub fn generate(
        &mut self,
        device: &mut dyn Device,
        request: &Request<'_>,
        emit: &mut dyn FnMut(i32),
    ) -> Result<Generated> {
        let vocab = request.sampling.check(self.config.model.vocab_size)?;
        self.check_prompt(request)?;
        let thought = match &request.latents {
            Latents::Posterior(fast) if !self.config.model.is_autoregressive() => {
                Some(self.infer(device, request, fast)?)
            }
            _ => {
                self.imagine(device, request)?;
                None
            }
        };
        for &token in request.prompt {
            self.decoder.push(device, token)?;
        }
        let mut tokens = Vec::new();
        let end = loop {
            if tokens.len() >= request.sampling.max_tokens {
                break End::Length;
            }
            if request.stop.load(Ordering::Relaxed) {
                break End::Stopped;
            }
            if let Some(&last) = tokens.last() {
                self.decoder.push(device, last)?;
            }
            let token = self.draw(device, request, vocab)?;
            if request.sampling.end == Some(token) {
                break End::EndOfText;
            }
            tokens.push(token);
            emit(token);
        };
        Ok(Generated { tokens, end, thought })
    }

    fn check_prompt(&self, request: &Request<'_>) -> std::result::Result<(), GenerateError> {
        let (prompt, model) = (request.prompt, &self.config.model);
        let tokens = prompt.len();
        let vocab = model.vocab_size;
        let known = |token: i32| usize::try_from(token).is_ok_and(|token| token < vocab);
        if let Some(place) = prompt.iter().position(|&token| !known(token)) {
            let token = prompt[place];
            return Err(GenerateError::UnknownToken { place, token, vocab });
        }
        match request.latents {
            _ if model.is_autoregressive() && tokens > 0 => Ok(()),
            _ if model.is_autoregressive() => Err(GenerateError::NoStart),
            Latents::Prior if tokens == 0 => Err(GenerateError::NoStart),
            Latents::Posterior(_) if tokens < 2 => Err(GenerateError::PromptTooShort { tokens }),
            Latents::Posterior(_) if tokens > model.max_seq_len => {
                Err(GenerateError::PromptTooLong { tokens, most: model.max_seq_len })
            }
            _ => Ok(()),
        }
    }

    fn random(request: &Request<'_>, site_offset: u32) -> Draw {
        Draw {
            seed: request.sampling.seed,
            iteration: 0,
            first_sample: request.sample,
            site_offset,
        }
    }

    /// Starts a sequence with z from the prior.
    fn imagine(&mut self, device: &mut dyn Device, request: &Request<'_>) -> Result<()> {
        draw_prior(device, &self.workspace, Self::random(request, 0))?;
        Ok(self.decoder.start(device, &self.workspace.z)?)
    }

    /// Starts a sequence with z from the posterior of the prompt.
    fn infer(
        &mut self,
        device: &mut dyn Device,
        request: &Request<'_>,
        fast: &FastConfig,
    ) -> Result<Thought> {
        let (prompt, model) = (request.prompt, &self.config.model);
        let shape = BatchShape { batch: 1, seq: prompt.len() - 1 };
        let plan = PassPlan::record(&self.config, shape, Purpose::Inference)?;
        let storage = self.config.storage();
        let mut workspace = Workspace::new(device, model, shape, (storage, false), fast.steps)?;
        let passes = plan.allocate(device, &self.weights, &workspace)?;
        workspace.load(device, &prompt[..shape.seq], &prompt[1..])?;
        let draw = Self::random(request, sites::VALIDATION_OFFSET);
        draw_start(device, &workspace, &self.config.posterior, draw)?;
        let none = WeightGradients::None;
        let (peak, stop) = (fast.lr, request.stop);
        infer(device, &passes, &mut workspace, fast, peak, none, stop)?;
        let trace = workspace.read_trace(device, fast.steps)?;
        self.decoder.start(device, &workspace.z)?;
        Ok(Thought {
            tokens: shape.seq,
            nll: trace.nll.into_iter().flatten().collect(),
            kl: trace.kl.into_iter().flatten().collect(),
        })
    }

    /// Chooses the next token.
    fn draw(
        &mut self,
        device: &mut dyn Device,
        request: &Request<'_>,
        vocab: usize,
    ) -> Result<i32> {
        let sampling = &request.sampling;
        let logits = self.decoder.logits(device, vocab)?;
        device.sample(&Sample {
            logits: &logits,
            tokens: &self.token,
            rows: 1,
            vocab,
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            stream: Stream {
                seed: sampling.seed,
                site: sites::SAMPLE_TOKEN,
                sample: request.sample,
                iteration: 0,
            },
            position: self.decoder.position() as u32,
        })?;
        let mut token = [0];
        device.download(&self.token, &mut token)?;
        Ok(token[0])
    }
}
