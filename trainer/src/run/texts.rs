//! Texts that a run writes now and then, always from the same prompt and the same random
//! numbers, so that they show the weights and nothing else.

use std::sync::atomic::AtomicBool;

use ltm_engine::Device;
use ltm_tools::tokenizer::Tokenizer;

use crate::config::Config;
use crate::data::Loader;
use crate::generate::{Generator, Latents, Request, Sampling};
use crate::metrics::Sample;
use crate::posterior::inference_settings;
use crate::trainer::NEVER;
use crate::{Result, Trainer};

/// New tokens of a text at most.
const LENGTH: usize = 200;
/// Below 1, so that a young model's text is not swamped by its tail.
const TEMPERATURE: f32 = 0.8;

/// One text from the prior, and one that continues the first half of a validation window with
/// the posterior of that half.
pub(super) fn draw(
    generator: &mut Generator,
    device: &mut dyn Device,
    config: &Config,
    source: &Loader,
    iteration: u64,
    stop: &AtomicBool,
) -> Result<Vec<Sample>> {
    let tokenizer = Tokenizer::new(source.tokenizer().tokenizer)?;
    let (mut tokens, mut targets) = (Vec::new(), Vec::new());
    source.read_windows(&[0], &mut tokens, &mut targets)?;
    tokens.truncate(prompt_length(config));
    let end = tokenizer.end_of_text() as i32;
    let posterior = Latents::Posterior(inference_settings(config, None));
    let requests = [("prior", vec![end], Latents::Prior), ("posterior", tokens, posterior)];
    let mut samples = Vec::new();
    for (kind, prompt, latents) in requests {
        let request = Request {
            prompt: &prompt,
            latents,
            sampling: Sampling {
                temperature: TEMPERATURE,
                seed: config.train.seed,
                max_tokens: LENGTH,
                end: Some(end),
                vocab: Some(tokenizer.vocab_size() as usize),
                ..Sampling::default()
            },
            refit: None,
            sample: 0,
            figures: false,
            stop,
        };
        let text = match generator.generate(device, &request, &mut |_| {}) {
            Err(crate::Error::Interrupted) => break,
            other => other?.tokens,
        };
        let shown = match kind {
            "prior" => String::new(),
            _ => text_of(&tokenizer, &prompt)?,
        };
        let text = text_of(&tokenizer, &text)?;
        samples.push(Sample { iteration, kind: kind.to_owned(), prompt: shown, text });
    }
    Ok(samples)
}

/// What texts take on a device that keeps books of its memory: generators of the trainer's
/// weights, run as [`draw`] runs them.
pub(crate) fn rehearse(trainer: &mut Trainer) -> Result<()> {
    let Trainer { device, config, parameters, .. } = trainer;
    let mut generator = Generator::new(device.as_mut(), config, parameters)?;
    let mut posterior = inference_settings(config, None);
    // Every step takes what the first one does.
    posterior.steps = 1;
    let prompt = vec![0; prompt_length(config)];
    let requests = [(&prompt[..1], Latents::Prior), (&prompt[..], Latents::Posterior(posterior))];
    for (prompt, latents) in requests {
        let sampling =
            Sampling { temperature: TEMPERATURE, max_tokens: LENGTH, ..Sampling::default() };
        let request = Request {
            prompt,
            latents,
            refit: None,
            sampling,
            sample: 0,
            figures: false,
            stop: &NEVER,
        };
        generator.generate(device.as_mut(), &request, &mut |_| {})?;
    }
    Ok(())
}

/// Tokens of a window that a text continues.
fn prompt_length(config: &Config) -> usize {
    (config.seq_len() / 2).max(2)
}

/// Bytes that are no UTF-8, as a young byte model writes them, become replacement characters.
fn text_of(tokenizer: &Tokenizer, tokens: &[i32]) -> Result<String> {
    let ids: Vec<u32> = tokens.iter().map(|&t| t as u32).collect();
    Ok(String::from_utf8_lossy(&tokenizer.decode_bytes(&ids)?).into_owned())
}
