//! `ltm generate`.

mod given;
mod record;
mod show;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, bail};
use ltm::generate::{
    GenerateError, Generated, Generator, Latents, Refit, Request, Sampling, read_prompts,
};
use ltm::posterior::inference_settings;
use ltm_tools::tokenizer::Tokenizer;

use super::device::DeviceArgs;
use super::interrupt;
use super::model::Model;
use super::output::tell;
use given::{Given, GivenArgs};
use record::Records;
use show::Show;

/// Arguments of `ltm generate`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run directory, or a checkpoint directory
    run: PathBuf,
    /// Text to continue; z is then its posterior
    #[arg(long)]
    prompt: Option<String>,
    /// File of texts to continue: .jsonl, or one a line; .gz, .zst and .xz of these too
    #[arg(long, conflicts_with = "prompt")]
    prompts: Option<PathBuf>,
    /// Field of the lines of a .jsonl file that holds the prompt
    #[arg(long, default_value = "text")]
    field: String,
    /// Prompts to take from the file at most; 0 takes all
    #[arg(long, default_value_t = 0)]
    limit: usize,
    /// Keep only so many tokens of each prompt, the first ones; 0 keeps all
    #[arg(long, default_value_t = 0)]
    prompt_tokens: usize,
    /// Draw z from the prior even if there is a prompt
    #[arg(long)]
    prior: bool,
    /// Fast steps on the prompt instead of the run's
    #[arg(long)]
    fast_steps: Option<usize>,
    /// Infer z anew after so many new tokens, from the text so far; 0 never does
    #[arg(long, default_value_t = 0)]
    refit: usize,
    /// Tokens that z is then inferred from at most, the last ones [default: model.max_seq_len]
    #[arg(long, requires = "refit")]
    refit_last: Option<usize>,
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
    /// Draw no token less probable than this times the most probable one
    #[arg(long, default_value_t = 0.0)]
    min_p: f32,
    /// Divides logits above 0 of tokens that were there already, multiplies those below; 1 is none
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f32,
    /// Texts to write for each prompt
    #[arg(long, default_value_t = 1)]
    samples: u32,
    /// Number of the first text; each number has random numbers of its own
    #[arg(long, default_value_t = 0)]
    first_sample: u32,
    /// Texts that are written together; the texts do not depend on it
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Seed of latents and tokens
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go on after an end-of-text token
    #[arg(long)]
    ignore_end: bool,
    /// Write texts as lines of JSON with their tokens and figures; - is the standard output
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// Write the figures of all texts together as JSON
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What one text continues.
struct Start {
    prompt: String,
    /// Shown before the text: the prompt, behind what z is of where it is given.
    shown: String,
    /// What z is of, where it is given.
    given: Option<Given>,
    /// Begins with the end-of-text token, as every document in training.
    tokens: Vec<i32>,
}

/// Writes texts.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.batch == 0 {
        bail!("--batch is 0, expected at least 1");
    }
    if args.prompt.as_deref() == Some("") {
        bail!(
            "the prompt is empty; expected text to continue, or leave --prompt out to write new \
             documents from the prior"
        );
    }
    let mut model = Model::open(&args.run, &args.device)?;
    let stop = interrupt::flag()?;
    let starts = starts(&args, &mut model, &stop)?;
    let count = starts.len() as u64 * u64::from(args.samples);
    if u64::from(args.first_sample) + count > u64::from(u32::MAX) {
        bail!("--samples {} for {} prompts: more than 2^32 texts", args.samples, starts.len());
    }
    let room = args.batch.min(count as usize);
    let (device, config) = (model.device.as_mut(), &model.config);
    let mut generator = Generator::with_room(device, config, &model.parameters, room)?;
    let plain = request(&args, &model, &stop);
    let requests: Vec<_> = (0..count as u32)
        .map(|text| {
            let start = &starts[(text / args.samples) as usize];
            let sample = args.first_sample + text % args.samples;
            let latents = start.given.as_ref().map(|given| given.latents(args.seed, sample));
            Request {
                prompt: &start.tokens,
                latents: latents.unwrap_or_else(|| plain.latents.clone()),
                sample: args.first_sample + text,
                ..plain.clone()
            }
        })
        .collect();
    let mut records = Records::new(&args, &model, &plain);
    let begun = Instant::now();
    let mut finished: Vec<Generated> = Vec::new();
    for group in requests.chunks(room.max(1)) {
        let start = |index: usize| &starts[(finished.len() + index) / args.samples as usize];
        let mut show = Show::new(args.jsonl.is_none(), model.tokenizer);
        let mut emit = |index: usize, token: i32| {
            if index == 0 {
                show.token(&start(0).shown, token);
            }
            ControlFlow::Continue(())
        };
        let texts = match generator.write(model.device.as_mut(), group, &mut emit) {
            Err(ltm::Error::Interrupted) => break,
            texts => texts?,
        };
        for (index, (text, request)) in texts.iter().zip(group).enumerate() {
            show.text(&start(index).shown, text, index == 0)?;
            let label = start(index).given.as_ref().map(|given| given.label.as_str());
            records.add((&start(index).prompt, label), request, text)?;
        }
        finished.extend(texts);
    }
    records.publish(&finished, begun.elapsed())?;
    let whole = finished.iter().filter(|text| text.end != ltm::generate::End::Stopped).count();
    if (whole as u64) < count {
        tell!("interrupted: {whole} of {count} texts are whole");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// What every text has in common.
fn request<'a>(args: &Args, model: &Model, stop: &'a AtomicBool) -> Request<'a> {
    let fast = inference_settings(&model.config, args.fast_steps);
    let prompted = args.prompt.is_some() || args.prompts.is_some();
    Request {
        prompt: &[],
        latents: match prompted && !args.prior {
            true => Latents::Posterior(fast.clone()),
            false => Latents::Prior,
        },
        refit: (args.refit > 0).then(|| Refit {
            every: args.refit,
            last: args.refit_last.unwrap_or(model.config.model.max_seq_len),
            fast,
        }),
        sampling: Sampling {
            temperature: args.temperature,
            top_k: args.top_k,
            top_p: args.top_p,
            min_p: args.min_p,
            repetition_penalty: args.repetition_penalty,
            seed: args.seed,
            max_tokens: args.max_tokens,
            end: (!args.ignore_end).then_some(model.tokenizer.end_of_text() as i32),
            vocab: Some(model.tokenizer.vocab_size() as usize),
        },
        sample: 0,
        figures: args.jsonl.is_some() || args.summary.is_some(),
        stop,
    }
}

/// The beginnings to continue.
fn starts(args: &Args, model: &mut Model, stop: &AtomicBool) -> anyhow::Result<Vec<Start>> {
    let given = args.given.read(model, args.fast_steps, stop)?;
    let most = model.config.model.max_seq_len;
    let inferred = !args.prior && !model.config.model.is_autoregressive();
    let start = |text: String| {
        let start = Start::of(&model.tokenizer, text, args.prompt_tokens)?;
        match start.tokens.len() {
            tokens if inferred && tokens > most => {
                Err(GenerateError::PromptTooLong { tokens, most }.into())
            }
            _ => anyhow::Ok(start),
        }
    };
    if let Some(path) = &args.prompts {
        let limit = if args.limit == 0 { usize::MAX } else { args.limit };
        let prompts = read_prompts(path, &args.field, limit)?.into_iter();
        let named = |prompt: ltm::generate::Prompt| {
            let line = prompt.line;
            start(prompt.text).with_context(|| format!("{} line {line}", path.display()))
        };
        return prompts.map(named).collect();
    }
    let prompt = args.prompt.clone().unwrap_or_default();
    if args.given.any() {
        let with = |given| start(prompt.clone()).map(|start| start.with(given));
        return given.into_iter().map(with).collect();
    }
    Ok(vec![start(prompt)?])
}

impl Start {
    fn of(tokenizer: &Tokenizer, text: String, keep: usize) -> anyhow::Result<Self> {
        let mut ids = tokenizer.encode(&text);
        let cut = keep > 0 && keep < ids.len();
        if cut {
            ids.truncate(keep);
        }
        let prompt = if cut { tokenizer.decode(&ids)? } else { text };
        let first = std::iter::once(tokenizer.end_of_text());
        let shown = prompt.clone();
        Ok(Self {
            prompt,
            shown,
            given: None,
            tokens: first.chain(ids).map(|id| id as i32).collect(),
        })
    }

    /// The same with a z that is given.
    fn with(self, given: Given) -> Self {
        let shown = format!("[{}] {}", given.label, self.prompt);
        Self { shown, given: Some(given), ..self }
    }
}
