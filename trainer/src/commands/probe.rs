//! `ltm probe`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use ltm::latents::Encoder;
use ltm::probe::{Absent, Level, ProbeOptions, Probed, probe};
use ltm_tools::report::{ProbePage, ProbePoint, write_probe};

use super::device::DeviceArgs;
use super::interrupt;
use super::model::Model;
use super::output::say;
use super::progress::Meter;
use super::text_args::TextArgs;

/// Arguments of `ltm probe`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run directory, or a checkpoint directory
    run: PathBuf,
    #[command(flatten)]
    texts: TextArgs,
    /// Texts at most: the first of a file, of shards windows spread evenly
    #[arg(long, default_value_t = 64)]
    limit: usize,
    /// What stands for the latents of the other layers
    #[arg(long, value_enum, default_value_t = AbsentArg::Mean)]
    absent: AbsentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw the curves as an HTML page too
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AbsentArg {
    /// The mean of the prior, 0 for N(0, I)
    Mean,
    /// A draw from the prior for each text
    Prior,
}

/// Probes the layers.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut model = Model::open(&args.run, &args.device)?;
    let stop = interrupt::flag()?;
    let mut encoder = Encoder::new(&model.config, &model.parameters, args.texts.fast_steps)?;
    let mut texts = args.texts.open(model.tokenizer, &model.config, Some(args.limit))?;
    let (total, batch) = (texts.count, args.texts.batch);
    let meter = Meter::texts(total);
    let progress = |done| meter.count(done, total);
    let absent = match args.absent {
        AbsentArg::Mean => Absent::Mean,
        AbsentArg::Prior => Absent::Prior,
    };
    let options = ProbeOptions { absent, batch, stop: &stop, progress: &progress };
    let result = probe(model.device.as_mut(), &mut encoder, &mut texts, &options);
    meter.finish();
    let probed = result?;
    let about = about(&args.texts.data, model.iteration, &probed);
    match args.json {
        true => print_json(&args.texts.data, model.iteration, &probed)?,
        false => print(&args.run, &about, &probed)?,
    }
    if let Some(out) = &args.report {
        let page = ProbePage {
            run: args.run.display().to_string(),
            about,
            first_layers: points(&probed.first_layers),
            last_layers: points(&probed.last_layers),
        };
        write_probe(&page, out)?;
        if !args.json {
            say!("{}", out.display())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What was done, and what the figures are.
fn about(data: &Path, iteration: u64, probed: &Probed) -> String {
    let absent = match probed.absent {
        Absent::Mean => "the mean of the prior",
        Absent::Prior => "draws from the prior",
    };
    format!(
        "{} texts of {}, {} tokens, after {iteration} iterations. z from {} fast steps on all of \
         each text; the latents of the other layers are {absent}. Every token is predicted from the \
         true tokens before it and from these latents; accuracy is the share of tokens that are the \
         most probable one where they stand.",
        probed.texts,
        data.display(),
        probed.tokens,
        probed.fast_steps
    )
}

fn points(levels: &[Level]) -> Vec<ProbePoint> {
    let point = |level: &Level| ProbePoint {
        layers: level.layers,
        nll: level.nll,
        accuracy: level.accuracy,
    };
    levels.iter().map(point).collect()
}

fn print_json(data: &Path, iteration: u64, probed: &Probed) -> anyhow::Result<()> {
    let line = serde_json::json!({
        "data": data.display().to_string(),
        "iteration": iteration,
        "probe": probed,
    });
    say!("{line}")
}

fn print(run: &Path, about: &str, probed: &Probed) -> anyhow::Result<()> {
    say!("{}: {about}", run.display())?;
    say!("  latents of     the first k layers       the last k layers")?;
    say!("  k               nll     accuracy         nll     accuracy")?;
    for (first, last) in probed.first_layers.iter().zip(&probed.last_layers) {
        say!(
            "  {:<10} {:>8.4}   {:>8.2} %    {:>8.4}   {:>8.2} %",
            first.layers,
            first.nll,
            100.0 * first.accuracy,
            last.nll,
            100.0 * last.accuracy
        )?;
    }
    Ok(())
}
