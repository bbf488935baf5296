//! `ltm sweep`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use ltm::plan::Machine;
use ltm::run::Event;
use ltm::sweep::{self, Cell, Ending, SweepEvent, SweepFile, SweepObserver, SweepOptions, cells};

use super::device::DeviceArgs;
use super::interrupt;
use super::output::{say, tell};
use super::progress::Meter;

/// Arguments of `ltm sweep`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// TOML file with the cells of the sweep; the README has one
    file: PathBuf,
    /// Directory of shards, made by `ltm tokenize`, with training and validation text
    #[arg(long)]
    data: PathBuf,
    /// Directory of the sweep; the same command goes on where it was
    #[arg(long)]
    out: PathBuf,
    /// Tell cells, iterations, tokens, FLOPs and time, and train nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Trains what is left of a sweep.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let file = SweepFile::read(&args.file)?;
    let cells = cells(&file, |layers| args.device.layer(layers))?;
    for cell in &cells {
        args.device.check(&cell.config)?;
    }
    let options = SweepOptions {
        cells,
        seeds: file.seeds,
        scoring: file.scoring,
        data: args.data,
        out: args.out,
        device: args.device.kind(),
        threads: args.device.threads,
        memory: args.device.memory,
    };
    if args.dry_run {
        print_cells(&options)?;
        return Ok(ExitCode::SUCCESS);
    }
    let stop = interrupt::flag()?;
    let mut watch = Watch { meter: Meter::iterations(), seconds: None };
    let result = sweep::run(&options, &mut watch, &stop);
    watch.meter.finish();
    let summary = result?;
    summary.lines().iter().try_for_each(|line| say!("{line}"))?;
    let out = options.out.display();
    match summary.finished {
        true => {
            say!("the sweep is in {out}: sweep.html, sweep.svg, sweep.md, sweep.csv, sweep.json")?
        }
        false => say!("stopped, all saved in {out}; the same command goes on")?,
    }
    let counts = summary.cells.iter().map(|cell| cell.counts());
    let (finished, failed) = counts.fold((0, 0), |sum, [f, x, _]| (sum.0 + f, sum.1 + x));
    if finished == 0 && failed > 0 {
        bail!("every run of the sweep failed; the table says why");
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows which run goes on, and how far it is.
struct Watch {
    meter: Meter,
    seconds: Option<f64>,
}

impl SweepObserver for Watch {
    fn event(&mut self, event: SweepEvent<'_>) {
        match event {
            SweepEvent::Begin { cell, seed, number, of } => {
                self.seconds = None;
                let iterations = cell.config.train.iterations;
                let name = &cell.name;
                self.meter.line(&format!(
                    "run {number} of {of}: {name}, seed {seed}, {iterations} iterations"
                ));
            }
            SweepEvent::Training(Event::Resumed { iteration, .. }) => {
                self.meter.line(&format!("  resumed at iteration {iteration}"));
            }
            SweepEvent::Training(Event::Iteration { metrics, timing, total }) => {
                let before = self.seconds.unwrap_or(timing.seconds);
                let smooth = before + 0.1 * (timing.seconds - before);
                self.seconds = Some(smooth);
                let left = (total - metrics.iteration - 1) as f64 * smooth;
                let left = Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX);
                let left = indicatif::HumanDuration(left);
                let message = format!("{} nats/token, ETA {left}", metrics.in_words());
                self.meter.set(metrics.iteration + 1, total, &message);
            }
            SweepEvent::Training(_) => {}
            SweepEvent::End { cell, seed, result } => {
                let of_run = format!("  {}, seed {seed}", cell.name);
                self.meter.line(&match &result.ending {
                    Ending::Failed { error } => format!("{of_run} failed: {error}"),
                    Ending::Finished { figures } => {
                        // Langevin dynamics has no bound.
                        let of = |key: &str| figures.iter().find(|figure| figure.key == key);
                        let told = of("bound").or_else(|| of("nll")).map_or_else(
                            || "scored".to_owned(),
                            |figure| format!("{} {:.4} nats/token", figure.key, figure.value),
                        );
                        format!("{of_run}: {told} in {:.0} s", result.seconds)
                    }
                });
            }
        }
    }
}

/// FLOPs per second of the runs that are over, or the most that this machine can do.
fn rate(options: &SweepOptions) -> anyhow::Result<(f64, usize)> {
    let (mut flops, mut seconds, mut runs) = (0.0, 0.0, 0);
    for cell in &options.cells {
        for &seed in &options.seeds {
            if let Some(result) = options.result(cell, seed)?
                && matches!(result.ending, Ending::Finished { .. })
                && result.seconds > 0.0
            {
                (flops, seconds, runs) = (flops + cell.flops(), seconds + result.seconds, runs + 1);
            }
        }
    }
    if runs > 0 {
        return Ok((flops / seconds, runs));
    }
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = if options.threads == 0 { cores } else { options.threads };
    Ok((Machine::cpu(threads).flops_per_second, 0))
}

fn print_cells(options: &SweepOptions) -> anyhow::Result<()> {
    let (rate, measured) = rate(options)?;
    let width = options.cells.iter().map(|cell| cell.name.len()).max().unwrap_or(0).max(4);
    say!(
        "{:<width$}  {:>5}  {:>10}  {:>12}  {:>10}  {:>10}  {:>10}",
        "cell",
        "seeds",
        "iterations",
        "tokens",
        "FLOPs",
        "FLOP/token",
        "time"
    )?;
    let line = |name: &str, cell: Option<&Cell>, flops: f64, tokens: f64| {
        let iterations = cell.map_or(String::new(), |c| c.config.train.iterations.to_string());
        let per_token = cell.map_or(String::new(), |_| format!("{:.3e}", flops / tokens));
        let seeds = options.seeds.len();
        let time = time(flops / rate);
        say!(
            "{name:<width$}  {seeds:>5}  {iterations:>10}  {tokens:>12.0}  {flops:>10.3e}  \
             {per_token:>10}  {time:>10}"
        )
    };
    for cell in &options.cells {
        line(&cell.name, Some(cell), cell.flops(), cell.tokens)?;
    }
    let seeds = options.seeds.len() as f64;
    let flops = seeds * options.cells.iter().map(Cell::flops).sum::<f64>();
    let tokens = seeds * options.cells.iter().map(|cell| cell.tokens).sum::<f64>();
    line("in all", None, flops, tokens)?;
    say!("cells: figures of one run; \"in all\": of all seeds")?;
    match measured {
        0 => tell!(
            "time: the least on this CPU, at {:.0} GFLOP/s; small models take several times that, \
             and validations come on top. Once a run is finished, its speed is taken instead",
            rate / 1e9
        ),
        runs => tell!("time: at {:.1} GFLOP/s, the speed of {runs} finished runs", rate / 1e9),
    }
    Ok(())
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 172_800.0 => format!("{:.1} d", s / 86_400.0),
        s if s >= 7200.0 => format!("{:.1} h", s / 3600.0),
        s if s >= 120.0 => format!("{:.1} min", s / 60.0),
        s => format!("{s:.1} s"),
    }
}
