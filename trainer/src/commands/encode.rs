//! `ltm encode`.

use std::path::PathBuf;
use std::process::ExitCode;

use ltm::latents::{EncodeOptions, Encoder, Header, Writer, encode, fingerprint};

use super::device::DeviceArgs;
use super::interrupt;
use super::model::Model;
use super::output::say;
use super::progress::Meter;
use super::text_args::TextArgs;

/// Arguments of `ltm encode`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run directory, or a checkpoint directory
    run: PathBuf,
    /// File of latents, in the safetensors format: mu and logvar of each text, and an index
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    texts: TextArgs,
    /// Texts at most: the first of a file, of shards windows spread evenly [default: all]
    #[arg(long)]
    limit: Option<usize>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Writes the latents of every text.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut model = Model::open(&args.run, &args.device)?;
    let stop = interrupt::flag()?;
    let mut encoder = Encoder::new(&model.config, &model.parameters, args.texts.fast_steps)?;
    let mut texts = args.texts.open(model.tokenizer, &model.config, args.limit)?;
    let shape = &model.config.model;
    let header = Header {
        model: fingerprint(model.device.as_mut(), shape, &model.parameters)?,
        iteration: model.iteration,
        tokenizer: model.tokenizer.kind().name().to_owned(),
        fast_steps: encoder.fast_steps() as u64,
        latents: shape.latents,
        dim: shape.dim,
        complete: true,
    };
    let writer = Writer::create(&args.out, header)?;
    let (total, batch) = (texts.count, args.texts.batch);
    let meter = Meter::texts(total);
    let progress = |done| meter.count(done, total);
    let options = EncodeOptions { batch, stop: &stop, progress: &progress };
    let result = encode(model.device.as_mut(), &mut encoder, &mut texts, writer, &options);
    meter.finish();
    let written = result?;
    let per_token = |nats: f64| nats / written.tokens as f64;
    say!(
        "{}: {} texts of {} tokens, {} x {} latents each, {:.1} MB",
        args.out.display(),
        written.texts,
        written.tokens,
        shape.latents,
        shape.dim,
        written.bytes as f64 / 1e6
    )?;
    say!(
        "  nats per token after {} fast steps: nll {:.4} + kl {:.4} = bound {:.4}; z has seen all of \
         each text",
        encoder.fast_steps(),
        per_token(written.nll),
        per_token(written.kl),
        per_token(written.nll + written.kl)
    )?;
    if !written.complete {
        say!("  stopped: these are the first texts only, and the file says so")?;
    }
    Ok(ExitCode::SUCCESS)
}
