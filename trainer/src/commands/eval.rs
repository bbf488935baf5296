//! `ltm eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use ltm::data::{Loader, Split};
use ltm::evaluate::{Evaluation, Evaluator, Figures, Options, evaluate};
use ltm::model::BatchShape;

use super::device::DeviceArgs;
use super::interrupt;
use super::model::Model;
use super::output::say;
use super::progress::Meter;

/// Arguments of `ltm eval`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run directory, or a checkpoint directory
    run: PathBuf,
    /// Shards, of the tokenizer that the run was trained with; repeat for several sets
    #[arg(long, required = true)]
    data: Vec<PathBuf>,
    /// Which shards of the directories: val or train
    #[arg(long, default_value = "val", value_parser = parse_split)]
    split: Split,
    /// Sequences, spread evenly over the set; 0 takes all
    #[arg(long, default_value_t = 64)]
    sequences: usize,
    /// Fast steps instead of the run's
    #[arg(long)]
    fast_steps: Option<usize>,
    /// Tokens of each sequence that z is inferred from; the others are then predicted unseen
    #[arg(long)]
    context: Option<usize>,
    /// Sequences at once; changes memory and speed, and the result by rounding at most
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

fn parse_split(name: &str) -> Result<Split, String> {
    match name {
        "train" => Ok(Split::Train),
        "val" => Ok(Split::Val),
        _ => Err("expected train or val".to_owned()),
    }
}

/// Evaluates every set.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.batch == 0 {
        bail!("--batch is 0, expected at least 1");
    }
    let mut model = Model::open(&args.run, &args.device)?;
    let stop = interrupt::flag()?;
    let config = model.config.clone();
    for data in &args.data {
        let (seq, vocab) = (config.seq_len(), config.model.vocab_size);
        let loader = Loader::open(data, args.split, seq, config.train.seed, vocab)?;
        loader.expect_tokenizer(model.tokenizer.kind().name())?;
        let wanted = if args.sequences == 0 { usize::MAX } else { args.sequences };
        let windows = loader.fixed_windows(wanted);
        let shape = BatchShape { batch: args.batch.min(windows.len()), seq };
        let mut evaluator =
            Evaluator::new(model.device.as_mut(), &config, &model.parameters, shape)?;
        let meter = Meter::sequences();
        let total = windows.len() as u64;
        let progress = |done: usize| meter.set(done as u64, total, "");
        let options = Options {
            fast_steps: args.fast_steps,
            context: args.context,
            stop: &stop,
            progress: &progress,
        };
        let on = evaluator.on(model.device.as_mut());
        let result = evaluate(on, &config, &loader, &windows, &options);
        meter.finish();
        let evaluation = result?;
        match args.json {
            true => print_json(data, model.iteration, &evaluation)?,
            false => print(data, model.iteration, !config.model.is_autoregressive(), &evaluation)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_json(data: &std::path::Path, iteration: u64, e: &Evaluation) -> anyhow::Result<()> {
    let line = serde_json::json!({
        "data": data.display().to_string(),
        "iteration": iteration,
        "fast_steps": e.fast_steps,
        "context": e.context,
        "summary": e.summary,
        "fast_nll": e.curve.nll,
        "fast_kl": e.curve.kl,
    });
    say!("{line}")
}

fn print(
    data: &std::path::Path,
    iteration: u64,
    latents: bool,
    e: &Evaluation,
) -> anyhow::Result<()> {
    let s = &e.summary;
    let seen = match (latents, e.context) {
        (false, _) => "no latents: nll is that of each token given those before it".to_owned(),
        (true, None) => {
            format!("z from {} fast steps on all of the tokens that it reconstructs", e.fast_steps)
        }
        (true, Some(context)) => format!(
            "z from {} fast steps on the first {context} tokens of each sequence",
            e.fast_steps
        ),
    };
    say!(
        "{}: {} sequences, {} tokens, after {iteration} iterations; {seen}",
        data.display(),
        s.sequences,
        s.tokens,
    )?;
    say!("  nats per token         nll       kl    bound   perplexity of the bound")?;
    let row = |name: &str, f: &Figures| {
        say!(
            "  {name:<18} {:>7.4}  {:>7.4}  {:>7.4}   {:>10.3}",
            f.nll,
            f.kl,
            f.bound,
            f.perplexity
        )
    };
    row("mean per sequence", &s.per_sequence)?;
    row("corpus", &s.corpus)?;
    if let Some(c) = &s.continuation {
        say!(
            "  tokens that z has not seen: {}, nll {:.4}, perplexity {:.3}",
            c.tokens,
            c.nll,
            c.perplexity
        )?;
    }
    if let (Some(first), Some(last)) = (e.curve.nll.first(), e.curve.nll.last()) {
        say!("  nll before the first fast step {first:.4}, before the last {last:.4}")?;
    }
    Ok(())
}
