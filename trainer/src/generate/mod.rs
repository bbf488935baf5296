//! Text from a model: first a thought, then its words.
//!
//! z comes from the prior, from the posterior of a prompt, inferred by the fast loop as in
//! evaluation, or from the caller. Then tokens are decoded one by one, each seeing the `window`
//! tokens before it and all of z. With [`Refit`] z is inferred anew now and then, from the text
//! as it has become.
//!
//! A text may grow beyond `model.max_seq_len`: window attention reaches only back, whatever
//! the position. But the model was trained on positions below it, the latents' positions lie
//! below it, and latent attention at larger distances is extrapolation, so expect quality to
//! fall there.
//!
//! Everything drawn is a function of (seed, sample, place in the text), and texts that are
//! written together do not touch each other: the same request gives the same text, bit for bit,
//! alone or among others. What stands in a text up to a place depends on nothing after it.

mod check;
mod choose;
mod decoder;
mod error;
mod figures;
mod layer;
mod prompts;
mod sampling;
#[cfg(test)]
mod tests;
mod text;
mod thought;

pub use error::GenerateError;
pub use figures::TextFigures;
pub(crate) use prompts::string_of;
pub use prompts::{Prompt, PromptError, read_prompts};
pub use sampling::{Sampling, decimal};
pub use text::{Drawn, End, Generated};
pub use thought::{Latents, Refit, Thought};

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use ltm_engine::{Buffer, DType, Device, DeviceExt};

use crate::config::{Config, FastConfig};
use crate::model::{BatchShape, Parameters};
use crate::workspace::Workspace;
use crate::{Result, sites};
use decoder::Decoder;
use text::Text;

/// What to write.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Tokens to continue, at least one; the end-of-text token starts a new document. At least
    /// 2 and at most `model.max_seq_len` if z is inferred from them.
    pub prompt: &'a [i32],
    /// Where z comes from.
    pub latents: Latents,
    /// Whether z is inferred anew as the text grows.
    pub refit: Option<Refit>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Number of the text among those of this seed; each has its own random numbers.
    pub sample: u32,
    /// Whether to tell [`Generated::drawn`].
    pub figures: bool,
    /// Ends the text early once this is set.
    pub stop: &'a AtomicBool,
}

/// Writes texts with the weights of [`Parameters`]. It shares their memory, so the texts of a
/// trainer's generator come from the weights as they are at the time.
pub struct Generator {
    config: Config,
    weights: Parameters,
    decoder: Decoder,
    /// For latents of the prior.
    workspace: Workspace,
    /// `[L, M, D]` storage, for latents of the caller.
    given: Buffer,
    /// `[texts]` i32.
    tokens: Buffer,
}

impl Generator {
    /// A generator that writes one text at a time.
    ///
    /// # Errors
    /// As [`Generator::with_room`].
    pub fn new(device: &mut dyn Device, config: &Config, parameters: &Parameters) -> Result<Self> {
        Self::with_room(device, config, parameters, 1)
    }

    /// A generator that writes up to `texts` texts together. Allocates the caches:
    /// `2 * window * D` numbers per layer and text.
    ///
    /// # Errors
    /// If the configuration is contradictory or the device has no memory left.
    pub fn with_room(
        device: &mut dyn Device,
        config: &Config,
        parameters: &Parameters,
        texts: usize,
    ) -> Result<Self> {
        let (shape, texts) = (BatchShape { batch: 1, seq: 1 }, texts.max(1));
        let storage = config.storage();
        let workspace = Workspace::new(device, &config.model, shape, (storage, false), 0)?;
        workspace.know_prior(parameters)?;
        Ok(Self {
            config: config.clone(),
            weights: parameters.frozen(),
            decoder: Decoder::new(device, &config.model, parameters, texts)?,
            workspace,
            given: device.alloc(storage, config.model.latents * config.model.dim)?,
            tokens: device.alloc(DType::I32, texts)?,
        })
    }

    /// Writes one text; `emit` gets each new token as soon as it is drawn.
    ///
    /// # Errors
    /// As [`Generator::write`].
    pub fn generate(
        &mut self,
        device: &mut dyn Device,
        request: &Request<'_>,
        emit: &mut dyn FnMut(i32),
    ) -> Result<Generated> {
        let mut emit = |_: usize, token: i32| {
            emit(token);
            ControlFlow::Continue(())
        };
        let written = self.write(device, std::slice::from_ref(request), &mut emit)?;
        Ok(written.into_iter().next().unwrap_or_default())
    }

    /// Writes a text for each request, as many together as there is room for. `emit` gets the
    /// number of the request and each new token as soon as it is drawn, and ends that text by
    /// [`ControlFlow::Break`].
    ///
    /// # Errors
    /// [`GenerateError`], before anything is written; [`crate::Error::Interrupted`] if it was
    /// stopped before the first z of each text was inferred; or a device that fails.
    pub fn write(
        &mut self,
        device: &mut dyn Device,
        requests: &[Request<'_>],
        emit: &mut dyn FnMut(usize, i32) -> ControlFlow<()>,
    ) -> Result<Vec<Generated>> {
        for request in requests {
            request.check(&self.config.model)?;
        }
        let (room, mut written) = (self.decoder.texts(), Vec::with_capacity(requests.len()));
        for group in requests.chunks(room) {
            let first = written.len();
            let mut emit = |index: usize, token: i32| emit(first + index, token);
            let mut texts = Vec::with_capacity(group.len());
            for (slot, request) in group.iter().enumerate() {
                texts.push(self.open(device, slot, request)?);
            }
            while self.advance(device, &mut texts, &mut emit)? {}
            written.extend(texts.into_iter().map(Text::close));
        }
        Ok(written)
    }

    /// The posterior of a prompt: what the fast loop found, and z, `[L, M, D]`, for
    /// [`Latents::Given`]; nothing for a model without latents.
    ///
    /// # Errors
    /// [`GenerateError`], [`crate::Error::Interrupted`], or a device that fails.
    pub fn infer(
        &mut self,
        device: &mut dyn Device,
        prompt: &[i32],
        fast: &FastConfig,
        (seed, sample): (u64, u32),
        stop: &AtomicBool,
    ) -> Result<(Thought, Vec<f32>)> {
        let request = Request {
            prompt,
            latents: Latents::Posterior(fast.clone()),
            refit: None,
            sampling: Sampling { seed, ..Sampling::default() },
            sample,
            figures: false,
            stop,
        };
        request.check(&self.config.model)?;
        if self.config.model.is_autoregressive() {
            return Ok((Thought::default(), Vec::new()));
        }
        let draw = request.draw(sites::VALIDATION_OFFSET, 0);
        let (thought, z) = self.fit(device, prompt, fast, draw, stop)?;
        Ok((thought, device.read_numbers(&z)?))
    }
}
