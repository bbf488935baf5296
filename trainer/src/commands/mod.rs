//! The commands, one file each: its arguments with their help, and what it does.

mod bench;
mod device;
mod parity;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Train and study Latent Thought Models.
#[derive(Parser, Debug)]
#[command(name = "ltm", version, about, max_term_width = 100)]
#[command(after_help = "Exit code 0: success, 1: failure, 2: wrong usage.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Compare this build with the PyTorch oracle, quantity by quantity
    Parity(parity::Args),
    /// Measure training on this machine, and where the time goes
    Bench(bench::Args),
}

/// Runs the chosen command.
///
/// # Errors
/// Whatever the command reports; printed by the caller, exit code 1.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Parity(args) => parity::run(args),
        Command::Bench(args) => bench::run(args),
    }
}
