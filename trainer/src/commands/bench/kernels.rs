//! `ltm bench --kernels`.

use std::process::ExitCode;

use anyhow::{Context, bail};
use ltm::Trainer;
use ltm::bench::{Iterations, Kernels, Sampling, kernels};
use ltm::config::{Config, ConfigError, Layers};
use ltm::plan::{Fit, Room};

use super::{Args, ReadingArg, Shape, Source};
use crate::commands::output::say;

/// The settings of a shape that the virtual GPU runs within seconds: as many latents to a layer,
/// and heads of the same size.
pub(super) fn reduced(layers: Layers, shape: Shape) -> Result<Layers, ConfigError> {
    let (depth, latents) = match shape {
        Shape::Tiny | Shape::Small => (1, 8),
        Shape::Medium => (2, 8),
        Shape::Large => (3, 24),
    };
    let settings = [
        "model.dim=128",
        "model.heads=2",
        "model.ffn_dim=344",
        "model.vocab_size=514",
        "model.max_seq_len=64",
        "model.window=32",
        "fast.steps=2",
        "train.batch=2",
        "train.seq_len=0",
    ];
    let layers = settings.iter().try_fold(layers, |layers, setting| layers.set(setting))?;
    layers.set(&format!("model.layers={depth}"))?.set(&format!("model.latents={latents}"))
}

/// Times the operations, and then the iterations of each reading.
pub(super) fn run(args: &Args, readings: &[ReadingArg]) -> anyhow::Result<ExitCode> {
    for (flag, value) in [("--iterations", args.iterations), ("--samples", samples(args))] {
        if value == 0 {
            bail!("{flag} is 0, expected at least 1");
        }
    }
    let first = readings.first().copied().context("no reading to measure")?;
    let mut config = args.config(first)?;
    let times = {
        let mut device = args.device.open_for(&config)?;
        config.train.micro_batch = Fit::of(&config, Room::of(device.as_ref()))?.micro_batch;
        let rows = config.train.micro_batch * config.seq_len();
        let mut sampling = Sampling::of(device.clock(), rows, config.model.dim);
        sampling.samples = args.samples.unwrap_or(sampling.samples);
        sampling.rotated_bytes = args.rotate.unwrap_or(sampling.rotated_bytes);
        kernels(device.as_mut(), &config, sampling)?
    };
    operations(args, &times)?;
    for reading in readings {
        iterations(args, *reading, &times)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Samples asked for, or any number.
fn samples(args: &Args) -> u64 {
    args.samples.map_or(1, |samples| samples as u64)
}

fn operations(args: &Args, times: &Kernels) -> anyhow::Result<()> {
    if !args.json {
        say!("{}", shape(args))?;
        return times.lines().iter().try_for_each(|line| say!("{line}"));
    }
    let [batch, seq] = times.extents;
    for kernel in &times.kernels {
        let mut line = serde_json::to_value(kernel)?;
        line["kernel"] = line["operation"].take();
        for (key, value) in [
            ("shape", args.shape.name().into()),
            ("reduced", args.is_reduced().into()),
            ("device", times.device.as_str().into()),
            ("dtype", times.dtype.into()),
            ("clock", times.clock.into()),
            ("batch", batch.into()),
            ("seq_len", seq.into()),
            ("copy_bytes_per_second", times.ceilings.copy_bytes_per_second.into()),
            ("product_flops_per_second", times.ceilings.product_flops_per_second.into()),
            ("product_by", times.ceilings.product_by.as_str().into()),
        ] {
            line[key] = value;
        }
        say!("{line}")?;
    }
    Ok(())
}

fn iterations(args: &Args, reading: ReadingArg, times: &Kernels) -> anyhow::Result<()> {
    let config: Config = args.config(reading)?;
    let mut trainer = Trainer::new(args.device.open_for(&config)?, config.clone())?;
    let seed = config.train.seed;
    trainer.parameters.initialise(trainer.device.as_mut(), &config.model, seed)?;
    let mut source = Source::open(args, &config)?;
    let count = (args.warmup, args.iterations);
    let batch = |iteration| source.next(config.train.batch, iteration);
    let measured = Iterations::measure(&mut trainer, count, batch)?;
    let speed = times.ceilings.product_flops_per_second;
    if !args.json {
        say!("")?;
        say!("{}, {} reading", shape(args), reading.name())?;
        return measured.lines(speed).iter().try_for_each(|line| say!("{line}"));
    }
    let median = measured.median();
    let line = serde_json::json!({
        "impl": "ltm",
        "shape": args.shape.name(),
        "reduced": args.is_reduced(),
        "reading": reading.name(),
        "device": times.device,
        "dtype": times.dtype,
        "clock": times.clock,
        "tokens_per_second": measured.tokens as f64 / median,
        "iteration_seconds": measured.seconds,
        "micro_batch": measured.micro_batch,
        "floor_seconds": measured.flops / speed,
        "parts": measured.parts,
        "loss": measured.loss,
    });
    say!("{line}")
}

fn shape(args: &Args) -> String {
    let reduced = if args.is_reduced() { ", made small for the virtual GPU" } else { "" };
    format!("{}{reduced}", args.shape.name())
}
