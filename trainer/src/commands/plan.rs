//! `ltm plan`.

use std::path::PathBuf;
use std::process::ExitCode;

use ltm::config::{Layers, Preset};
use ltm::plan::{Machine, Plan, Room};

use super::device::DeviceArgs;
use super::output::say;

/// Arguments of `ltm plan`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Settings to start from: tiny, small, medium or large
    #[arg(long, default_value = "small")]
    preset: Preset,
    /// Settings from a TOML file, over the preset
    #[arg(long)]
    config: Option<PathBuf>,
    /// One setting, over the file: --set slow.lr=3e-4
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Sequences per iteration
    #[arg(long)]
    batch: Option<usize>,
    /// Peak of the machine, GFLOP/s, for the floor time
    #[arg(long)]
    gflops: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Prints the plan.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut layers = Layers::preset(args.preset)?;
    if let Some(path) = &args.config {
        layers = layers.file(path)?;
    }
    for setting in &args.set {
        layers = layers.set(setting)?;
    }
    if let Some(batch) = args.batch {
        layers = layers.set(&format!("train.batch={batch}"))?;
    }
    let here = match args.gflops {
        Some(gflops) => Machine::measured(gflops)?,
        None => {
            let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
            let threads = args.device.threads;
            Machine::cpu(if threads == 0 { cores } else { threads })
        }
    };
    let layers = args.device.layer(layers)?;
    // A device that is not here is planned for all the same.
    let config = layers.finish(None)?;
    let room = match args.device.open_for(&config) {
        Ok(device) => Room::of(device.as_ref()),
        Err(_) => Room::boundless(args.device.kind().processor()),
    };
    let plan = Plan::new(&config, room, &[here, Machine::h200()])?;
    match args.json {
        true => say!("{}", serde_json::to_string(&plan)?)?,
        false => plan.lines().iter().try_for_each(|line| say!("{line}"))?,
    }
    Ok(ExitCode::SUCCESS)
}
