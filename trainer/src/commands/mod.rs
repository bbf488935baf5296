//! The commands, one file each: its arguments with their help, and what it does.

mod bench;
mod device;
mod doctor;
mod encode;
mod eval;
mod generate;
mod gsm8k;
mod inspect;
mod interrupt;
mod kernels;
mod model;
mod output;
mod parity;
mod plan;
mod probe;
mod progress;
mod quickstart;
mod report;
mod sweep;
mod text_args;
mod tokenize;
mod train;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use output::is_closed as reader_left;

/// Train and study Latent Thought Models
#[derive(Parser, Debug)]
#[command(name = "ltm", version, about, max_term_width = 100)]
#[command(after_help = "Exit code 0: success, 1: failure, 2: wrong usage.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// The whole thing on one page: text, shards, training, evaluation, samples, report
    Quickstart(quickstart::Args),
    /// Turn text into shards of tokens
    Tokenize(tokenize::Args),
    /// Train a model, or continue a run
    Train(train::Args),
    /// Measure a model on shards and texts: bounds and causal figures, by what z has seen
    Eval(eval::Args),
    /// Write text, from the prior or from the posterior of a prompt
    Generate(Box<generate::Args>),
    /// Keep the latents of texts: means and log variances of their posteriors, in a file
    Encode(encode::Args),
    /// Find out what the latents of each layer know: reconstruction with those of some layers only
    Probe(probe::Args),
    /// Ask the questions of GSM8K, and tell pass@k
    Gsm8k(gsm8k::Args),
    /// Compare this build with the PyTorch oracle, quantity by quantity
    Parity(parity::Args),
    /// Tell parameters, bytes, FLOPs and floor time before anything is allocated
    Plan(plan::Args),
    /// Measure training on this machine, and where the time goes
    Bench(bench::Args),
    /// Tell what this machine can do: driver, GPUs, libraries, kernels, and a self-test
    Doctor(doctor::Args),
    /// Tell what a shard, a checkpoint or a run is, or what the GPU's kernels are
    Inspect(inspect::Args),
    /// Draw the curves and samples of runs as one HTML page
    Report(report::Args),
    /// Train a grid of settings with a fixed budget for each, and compare them
    Sweep(sweep::Args),
}

/// Runs the chosen command.
///
/// # Errors
/// Whatever the command reports; printed by the caller, exit code 1.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Quickstart(args) => quickstart::run(args),
        Command::Tokenize(args) => tokenize::run(args),
        Command::Train(args) => train::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Generate(args) => generate::run(*args),
        Command::Encode(args) => encode::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Gsm8k(args) => gsm8k::run(args),
        Command::Parity(args) => parity::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Report(args) => report::run(args),
        Command::Sweep(args) => sweep::run(args),
    }
}
