//! `ltm train`.

use std::path::PathBuf;
use std::process::ExitCode;

use ltm::config::{Config, ConfigError, Layers, Preset};
use ltm::run::{self, Outcome, RunOptions};

use super::device::{DeviceArgs, ProfileArgs};
use super::interrupt;
use super::output::say;
use super::watch::Watch;

/// Arguments of `ltm train`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Directory of shards, made by `ltm tokenize`
    #[arg(long)]
    data: PathBuf,
    /// Directory of the run
    #[arg(long)]
    out: PathBuf,
    /// Settings to start from: tiny, small, medium or large [default: small]
    #[arg(long)]
    preset: Option<Preset>,
    /// Settings from a TOML file, over the preset
    #[arg(long)]
    config: Option<PathBuf>,
    /// One setting, over the file: --set slow.lr=3e-4
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Latent vectors over all layers, short for --set model.latents=N; 0 trains a plain
    /// autoregressive model
    #[arg(long, value_name = "N")]
    latents: Option<usize>,
    /// Continue the run in --out from its last checkpoint
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

impl Args {
    fn layer(&self, mut layers: Layers) -> Result<Layers, ConfigError> {
        if let Some(path) = &self.config {
            layers = layers.file(path)?;
        }
        if let Some(latents) = self.latents {
            layers = layers.set(&format!("model.latents={latents}"))?;
        }
        for setting in &self.set {
            layers = layers.set(setting)?;
        }
        self.device.layer(layers)
    }

    fn config(&self) -> anyhow::Result<Config> {
        let anew = |preset| self.layer(Layers::preset(preset)?);
        if self.resume
            && let Some(config) = run::resumed_config(&self.out, |layers| self.layer(layers))?
        {
            // The command that started the run may be repeated as it was. A preset says nothing
            // about what may change, such as the number of iterations.
            if let Some(preset) = self.preset {
                run::resumed_config(&self.out, |_| anew(preset))?;
            }
            return Ok(config);
        }
        Ok(anew(self.preset.unwrap_or(Preset::Small))?.finish(None)?)
    }
}

/// Trains.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = args.config()?;
    args.device.check(&config)?;
    args.profile.apply();
    let options = RunOptions {
        config,
        data: args.data,
        out: args.out,
        resume: args.resume,
        device: args.device.kind(),
        threads: args.device.threads,
        memory: args.device.memory,
    };
    let stop = interrupt::flag()?;
    let mut watch = Watch::new();
    let result = run::train(&options, &mut watch, &stop);
    watch.finish();
    let outcome: Outcome = result?;
    let done = outcome.iterations;
    if outcome.finished {
        say!("{done} iterations done; the run is in {}", options.out.display())?;
    } else {
        say!(
            "stopped after {done} iterations, all saved; continue with --resume --data {} --out {}",
            options.data.display(),
            options.out.display()
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
