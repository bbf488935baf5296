//! `ltm gsm8k`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::bail;
use ltm::generate::{Generator, Sampling, decimal};
use ltm::gsm8k::{
    Ask, LatentsFor, PassAtK, Progress, Prompts, Question, Results, Settings, Shots, Tally,
    hash_of_questions, read_questions,
};
use ltm::latents::fingerprint;
use ltm::posterior::inference_settings;
use serde_json::json;

use super::device::DeviceArgs;
use super::interrupt;
use super::model::Model;
use super::output::{say, tell};
use super::progress::Meter;

/// Arguments of `ltm gsm8k`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run directory, or a checkpoint directory
    run: PathBuf,
    /// Questions: the data set's .jsonl, or that in .gz, .zst or .xz
    #[arg(long)]
    data: PathBuf,
    /// Questions to take the examples from, the first ones
    #[arg(long)]
    train: Option<PathBuf>,
    /// Examples before each question
    #[arg(long, default_value_t = 0)]
    shots: usize,
    /// Leave out as many of the first examples as prompt and new tokens have no room for
    #[arg(long)]
    drop_shots: bool,
    /// Answers to each question
    #[arg(long, default_value_t = 1)]
    samples: usize,
    /// Which pass@k to tell, each at most the number of samples
    #[arg(long, value_delimiter = ',', default_value = "1")]
    k: Vec<usize>,
    /// Questions to ask, the first ones; 0 asks all
    #[arg(long, default_value_t = 0)]
    limit: usize,
    /// Where z comes from: inferred once for a question, for each sample, or from the prior
    #[arg(long, default_value = "question", value_parser = ["question", "sample", "prior"])]
    latents: String,
    /// Fast steps on the prompt instead of the run's
    #[arg(long)]
    fast_steps: Option<usize>,
    /// New tokens of an answer at most
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// Divides the logits; 0 takes the most probable token [default: 0 for one sample, else 0.8]
    #[arg(long)]
    temperature: Option<f32>,
    /// Draw from this many most probable tokens; 0 keeps all
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Draw from the smallest set of this probability
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// Draw no token less probable than this times the most probable one
    #[arg(long, default_value_t = 0.0)]
    min_p: f32,
    /// Seed of latents and tokens
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Answers that are written together; they do not depend on it
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// File of answers, a line of JSON each; one that is there is gone on with
    #[arg(long)]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Asks, and tells pass@k.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    check(&args)?;
    let questions = read_questions(&args.data, 1)?;
    let shots = Shots { examples: examples(&args)?, drop: args.drop_shots };
    let mut model = Model::open(&args.run, &args.device)?;
    let stop = interrupt::flag()?;
    let settings = settings(&args, &mut model, &questions, &shots)?;
    let limit = if args.limit == 0 { questions.len() } else { args.limit.min(questions.len()) };
    let meter = Meter::answers();
    let progress = |p: Progress| meter.set(p.done as u64, p.total as u64, "");
    let ask = ask(&args, &model, (&questions, &shots), &stop, &progress);
    let room = args.batch.min(limit * args.samples);
    let (device, config) = (model.device.as_mut(), &model.config);
    let mut generator = Generator::with_room(device, config, &model.parameters, room)?;
    ask.check(config.model.vocab_size)?;
    let mut results = Results::open(&args.out, &settings, questions.len())?;
    let asked = ask.run(model.device.as_mut(), &mut generator, &mut results);
    meter.finish();
    asked?;
    let tallies: Vec<Tally> =
        (0..limit).filter_map(|question| results.tally(question, args.samples)).collect();
    tell_of(&args, &tallies, (limit, results.mean_shots()))?;
    match tallies.len() < limit {
        true => {
            tell!(
                "interrupted: {} of {limit} questions have all their answers; the same command \
                 goes on",
                tallies.len()
            );
            Ok(ExitCode::FAILURE)
        }
        false => Ok(ExitCode::SUCCESS),
    }
}

fn check(args: &Args) -> anyhow::Result<()> {
    if args.batch == 0 {
        bail!("--batch is 0, expected at least 1");
    }
    if args.samples == 0 {
        bail!("--samples is 0, expected at least 1");
    }
    match args.k.iter().find(|k| !(1..=args.samples).contains(k)) {
        Some(k) => bail!("--k {k}; expected 1 to the number of samples, {}", args.samples),
        None => Ok(()),
    }
}

fn examples(args: &Args) -> anyhow::Result<Vec<Question>> {
    match &args.train {
        _ if args.shots == 0 => Ok(Vec::new()),
        None => bail!("--shots {} needs examples; name their file with --train", args.shots),
        Some(path) => {
            let mut examples = read_questions(path, args.shots)?;
            examples.truncate(args.shots);
            Ok(examples)
        }
    }
}

/// Where z comes from; the prior stands for a model without latents too.
fn latents(args: &Args, model: &Model) -> LatentsFor {
    let fast = inference_settings(&model.config, args.fast_steps);
    match args.latents.as_str() {
        _ if model.config.model.is_autoregressive() => LatentsFor::Prior,
        "question" => LatentsFor::Question(fast),
        "sample" => LatentsFor::Sample(fast),
        _ => LatentsFor::Prior,
    }
}

fn sampling(args: &Args, model: &Model) -> Sampling {
    let usual = if args.samples == 1 { 0.0 } else { 0.8 };
    Sampling {
        temperature: args.temperature.unwrap_or(usual),
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        seed: args.seed,
        max_tokens: args.max_tokens,
        end: Some(model.tokenizer.end_of_text() as i32),
        vocab: Some(model.tokenizer.vocab_size() as usize),
        ..Sampling::default()
    }
}

fn ask<'a>(
    args: &Args,
    model: &Model,
    (questions, shots): (&'a [Question], &'a Shots),
    stop: &'a AtomicBool,
    progress: &'a dyn Fn(Progress),
) -> Ask<'a> {
    let latents = latents(args, model);
    Ask {
        questions,
        limit: if args.limit == 0 { usize::MAX } else { args.limit },
        samples: args.samples,
        prompts: Prompts {
            tokenizer: model.tokenizer,
            shots,
            most: (!model.config.model.is_autoregressive())
                .then_some(model.config.model.max_seq_len),
            new_tokens: args.max_tokens,
        },
        latents,
        sampling: sampling(args, model),
        batch: args.batch,
        stop,
        progress,
    }
}

fn settings(
    args: &Args,
    model: &mut Model,
    questions: &[Question],
    shots: &Shots,
) -> anyhow::Result<Settings> {
    let (latents, fast) = match latents(args, model) {
        LatentsFor::Prior => ("prior", None),
        LatentsFor::Question(fast) => ("question", Some(fast)),
        LatentsFor::Sample(fast) => ("sample", Some(fast)),
    };
    let sampling = sampling(args, model);
    Ok(Settings {
        format: Settings::FORMAT,
        model: fingerprint(model.device.as_mut(), &model.config.model, &model.parameters)?,
        questions: hash_of_questions(questions),
        examples: hash_of_questions(&shots.examples),
        shots: shots.examples.len(),
        drop_shots: shots.drop,
        latents: latents.to_owned(),
        fast: fast.map(serde_json::to_value).transpose()?,
        temperature: decimal(sampling.temperature),
        top_k: sampling.top_k,
        top_p: decimal(sampling.top_p),
        min_p: decimal(sampling.min_p),
        max_tokens: sampling.max_tokens,
        seed: sampling.seed,
    })
}

fn tell_of(
    args: &Args,
    tallies: &[Tally],
    (limit, mean_shots): (usize, Option<f64>),
) -> anyhow::Result<()> {
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let (answers, answered) = (sum(|t| t.samples), sum(|t| t.answered));
    let passes: Vec<PassAtK> = match tallies {
        [] => Vec::new(),
        _ => args.k.iter().map(|&k| PassAtK::over(tallies, k)).collect(),
    };
    if args.json {
        let line = json!({
            "data": shown(&args.data),
            "questions": tallies.len(),
            "of_questions": limit,
            "samples": args.samples,
            "shots": args.shots,
            "mean_shots": mean_shots,
            "answers": answers,
            "with_a_number": answered,
            "correct": sum(|t| t.correct),
            "pass_at_k": passes,
        });
        return say!("{line}");
    }
    say!(
        "{}: {} questions, {} answers each, {} shots; z {}",
        shown(&args.data),
        tallies.len(),
        args.samples,
        mean_shots.unwrap_or(args.shots as f64),
        match args.latents.as_str() {
            "question" => "inferred from the prompt, once for a question",
            "sample" => "inferred from the prompt, for each answer",
            _ => "from the prior",
        }
    )?;
    say!("  answers with a number after \"#### \": {answered} of {answers}")?;
    for pass in passes {
        let error = pass.standard_error.map_or(String::new(), |e| format!(" +- {e:.4}"));
        say!("  pass@{:<4} {:.4}{error}", pass.k, pass.mean)?;
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
