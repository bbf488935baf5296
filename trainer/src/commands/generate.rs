//! `ltm generate`.

use std::path::PathBuf;
use std::process::ExitCode;

use ltm::generate::{Generator, Latents, Request, Sampling};
use ltm::posterior::inference_settings;

use super::device::DeviceArgs;
use super::interrupt;
use super::model::Model;
use super::output::{self, say, tell};

/// Arguments of `ltm generate`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run directory, or a checkpoint directory
    run: PathBuf,
    /// Text to continue; z is then its posterior
    #[arg(long)]
    prompt: Option<String>,
    /// Draw z from the prior even if there is a prompt
    #[arg(long)]
    prior: bool,
    /// Fast steps on the prompt instead of the run's
    #[arg(long)]
    fast_steps: Option<usize>,
    /// New tokens at most
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// Divides the logits; 0 takes the most probable token
    #[arg(long, default_value_t = 0.8)]
    temperature: f32,
    /// Draw from this many most probable tokens; 0 keeps all
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Draw from the smallest set of this probability
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// Texts to write
    #[arg(long, default_value_t = 1)]
    samples: u32,
    /// Seed of latents and tokens
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go on after an end-of-text token
    #[arg(long)]
    ignore_end: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Writes texts.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut model = Model::open(&args.run, &args.device)?;
    let stop = interrupt::flag()?;
    let end = model.tokenizer.end_of_text() as i32;
    // A document begins with the end-of-text token, in training too.
    let mut prompt = vec![end];
    if let Some(text) = &args.prompt {
        prompt.extend(model.tokenizer.encode(text).iter().map(|&id| id as i32));
    }
    let latents = match args.prompt.is_some() && !args.prior {
        true => Latents::Posterior(inference_settings(&model.config, args.fast_steps)),
        false => Latents::Prior,
    };
    let mut generator = Generator::new(model.device.as_mut(), &model.config, &model.parameters)?;
    for sample in 0..args.samples {
        let request = Request {
            prompt: &prompt,
            latents: latents.clone(),
            sampling: Sampling {
                temperature: args.temperature,
                top_k: args.top_k,
                top_p: args.top_p,
                seed: args.seed,
                max_tokens: args.max_tokens,
                end: (!args.ignore_end).then_some(end),
                vocab: Some(model.tokenizer.vocab_size() as usize),
            },
            sample,
            stop: &stop,
        };
        output::text(args.prompt.as_deref().unwrap_or_default())?;
        let mut pending = Vec::new();
        let tokenizer = &model.tokenizer;
        let text = generator.generate(model.device.as_mut(), &request, &mut |token| {
            if let Ok(bytes) = tokenizer.decode_bytes(&[token as u32]) {
                pending.extend(bytes);
                print_whole_characters(&mut pending);
            }
        })?;
        say!("{}", String::from_utf8_lossy(&pending))?;
        if let Some(thought) = &text.thought
            && let (Some(first), Some(last)) = (thought.nll.first(), thought.nll.last())
        {
            let per_token = |nats: f64| nats / thought.tokens as f64;
            tell!(
                "(z from {} fast steps on the prompt: nll {:.3} -> {:.3} nats/token)",
                thought.nll.len(),
                per_token(*first),
                per_token(*last)
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what is complete of `bytes` and keeps the start of an unfinished character.
fn print_whole_characters(bytes: &mut Vec<u8>) {
    let whole = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => bytes.len(),
    };
    // Nothing to do about it in the middle of a text; the end of the line will tell.
    let _ = output::text(&String::from_utf8_lossy(&bytes[..whole]));
    bytes.drain(..whole);
}
