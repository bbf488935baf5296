//! Packs a bundle for a bare GPU machine, runs it there, and makes a table of its results.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ltm_tools::bundle::{DEFAULT_GROUPS, Error, Options, Results, markdown, pack, run};

/// Check and measure this build on a machine that has a GPU's driver and nothing else.
///
/// Without a command: build and pack everything into --out.
#[derive(Parser)]
#[command(name = "bundle", args_conflicts_with_subcommands = true)]
struct Cli {
    /// Folder to pack into; an earlier bundle there is replaced
    #[arg(long, default_value = "target/bundle")]
    out: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the steps on this machine; what run.sh of a bundle calls
    Run(RunArgs),
    /// Turn a folder of results into a page of Markdown
    Table {
        /// The folder that OUT named
        results: PathBuf,
        /// The page; standard output if absent
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[derive(Args)]
struct RunArgs {
    /// The folder of the bundle
    #[arg(long)]
    bundle: PathBuf,
    /// Folder of the results; added to if there are some
    #[arg(long, default_value = "results")]
    out: PathBuf,
    /// Groups of steps, separated by commas
    #[arg(long, default_value = DEFAULT_GROUPS, value_delimiter = ',')]
    steps: Vec<String>,
    /// Only the steps with these names, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds for everything
    #[arg(long, default_value_t = 1500)]
    limit: u64,
    /// Sequences of an iteration in measurements
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Seconds of training for the curve, each side
    #[arg(long, default_value_t = 540)]
    curve_seconds: u64,
    /// The Python of the peers
    #[arg(long, default_value = "python3")]
    python: String,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => pack(&cli.out).map(|packed| {
            let bytes = packed.manifest.bytes as f64;
            println!("{}: {:.1} MB; run it with: sh run.sh", packed.folder.display(), bytes / 1e6);
            ExitCode::SUCCESS
        }),
        Some(Command::Run(args)) => run_steps(args),
        Some(Command::Table { results, out }) => table(results, out),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn run_steps(args: RunArgs) -> Result<ExitCode, Error> {
    let named = |names: Vec<String>| names.into_iter().filter(|name| !name.is_empty()).collect();
    let options = Options {
        bundle: args.bundle,
        out: args.out,
        groups: named(args.steps),
        only: named(args.only),
        limit: Duration::from_secs(args.limit),
        python: args.python,
        batch: args.batch,
        curve_seconds: args.curve_seconds,
    };
    let records = run(&options, &mut |step| {
        println!(
            "{:<26} {:<18} {:7.1} s  {}",
            step.step,
            step.status.to_string(),
            step.seconds,
            step.detail
        );
    })?;
    println!("results in {}", options.out.display());
    let failed = records.iter().any(|record| record.status.is_failure());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn table(results: PathBuf, out: Option<PathBuf>) -> Result<ExitCode, Error> {
    let page = markdown(&Results::read(&results)?);
    match out {
        None => print!("{page}"),
        Some(path) => std::fs::write(&path, page).map_err(|source| Error::File {
            action: "write",
            path,
            source,
        })?,
    }
    Ok(ExitCode::SUCCESS)
}
