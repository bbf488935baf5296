//! `ltm quickstart`: text, shards, training, evaluation, samples, report.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use ltm::config::{Layers, Preset};
use ltm::metrics::{self, Sample};
use ltm::run::{self, RunOptions};
use ltm::run_dir::RunPaths;
use ltm_tools::report::write_report;
use ltm_tools::tokenize::{TokenizeOptions, tokenize};
use ltm_tools::tokenizer::TokenizerKind;

use super::device::DeviceArgs;
use super::interrupt;
use super::output::say;
use super::watch::Watch;

/// Bytes of a document: the text is cut at the ends of paragraphs.
const DOCUMENT: usize = 16_384;
/// Documents that are held out.
const VALIDATION: u64 = 12;

/// Arguments of `ltm quickstart`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Directory for text, shards and the run
    #[arg(long, default_value = "ltm-quickstart")]
    out: PathBuf,
    /// Change a setting of the tiny preset, as in `ltm train`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Runs everything; a directory of an earlier quickstart gets a further run.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let stop = interrupt::flag()?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create {}", args.out.display()))?;
    let corpus = args.out.join("corpus.jsonl");
    let documents = write_corpus(&corpus)?;
    say!("1. text: {documents} documents of public-domain English in {}", corpus.display())?;

    let shards = args.out.join("shards");
    let options = TokenizeOptions {
        tokenizer: TokenizerKind::Bytes,
        val_docs: VALIDATION,
        overwrite: true,
        cancel: stop.clone(),
        ..TokenizeOptions::default()
    };
    let report = tokenize(&[corpus], &shards, &options, &mut |_| {})?;
    say!("2. shards: {report}")?;

    let mut layers = Layers::preset(Preset::Tiny)?;
    for setting in &args.set {
        layers = layers.set(setting)?;
    }
    let config = args.device.layer(layers)?.finish(None)?;
    args.device.check(&config)?;
    let run_path = free_run_directory(&args.out)?;
    say!(
        "3. training tiny ({:.2}M parameters, {} iterations) in {}",
        config.parameter_count() as f64 / 1e6,
        config.train.iterations,
        run_path.display()
    )?;
    let options = RunOptions {
        data: shards,
        out: run_path.clone(),
        config,
        resume: false,
        device: args.device.kind(),
        threads: args.device.threads,
        memory: args.device.memory,
    };
    let mut watch = Watch::new();
    let outcome = run::train(&options, &mut watch, &stop);
    watch.finish();
    let outcome = outcome?;

    let paths = RunPaths::new(&run_path);
    if let Some((first, last)) = &outcome.validations {
        say!(
            "4. validation bound (nll + kl): {:.3} -> {:.3} nats/byte, {:.0}% lower\n   \
             ({:.3} + {:.3} -> {:.3} + {:.3})",
            first.val_bound,
            last.val_bound,
            100.0 * (1.0 - last.val_bound / first.val_bound),
            first.val_nll,
            first.val_kl,
            last.val_nll,
            last.val_kl
        )?;
    }
    print_samples(&paths)?;
    let report = write_report(&[run_path], &paths.report())?;
    say!("6. report: {}", report.path.display())?;
    say!("done in {:.0} s", start.elapsed().as_secs_f64())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the text as JSON lines, one document each; returns their number.
fn write_corpus(path: &Path) -> anyhow::Result<usize> {
    let text = ltm::english::text().context("the packed text is damaged")?;
    let mut lines = Vec::new();
    let mut documents = 0;
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let from = rest.floor_char_boundary(DOCUMENT);
        let end = rest[from..].find("\n\n").map_or(rest.len(), |at| from + at + 2);
        let (document, tail) = rest.split_at(end);
        rest = tail;
        serde_json::to_writer(&mut lines, &serde_json::json!({ "text": document.trim() }))?;
        lines.push(b'\n');
        documents += 1;
    }
    ltm::atomic_file::write(path, &lines)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(documents)
}

/// `run`, or `run-2` and so on if there are earlier ones.
fn free_run_directory(out: &Path) -> anyhow::Result<PathBuf> {
    let names = std::iter::once("run".to_owned()).chain((2..1000).map(|i| format!("run-{i}")));
    for name in names {
        let path = out.join(name);
        if !path.exists() {
            return Ok(path);
        }
    }
    bail!("{} holds 999 runs; remove some, or choose another --out", out.display())
}

fn print_samples(paths: &RunPaths) -> anyhow::Result<()> {
    let samples: Vec<Sample> = metrics::read(&paths.samples())?;
    let of_prior = || samples.iter().filter(|sample| sample.kind == "prior");
    if let (Some(before), Some(after)) = (of_prior().next(), of_prior().next_back()) {
        say!("5. text from the prior after {} iteration:", before.iteration + 1)?;
        print_text(&before.text)?;
        say!("   and after {}:", after.iteration + 1)?;
        print_text(&after.text)?;
    }
    let continued = samples.iter().rev().find(|sample| sample.kind == "posterior");
    if let Some(sample) = continued {
        let tail: String = sample.prompt.chars().rev().take(80).collect();
        let tail: String = tail.chars().rev().collect();
        say!("   and continuing \"...{}\":", tail.replace('\n', " "))?;
        print_text(&sample.text)?;
    }
    Ok(())
}

fn print_text(text: &str) -> anyhow::Result<()> {
    let visible = |c: char| if c.is_control() && c != '\n' { '\u{b7}' } else { c };
    for line in text.chars().map(visible).collect::<String>().lines() {
        say!("   | {line}")?;
    }
    Ok(())
}
