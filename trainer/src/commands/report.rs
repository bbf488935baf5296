//! `ltm report`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use ltm::run_dir::RunPaths;
use ltm_tools::report::write_report;

use super::output::{say, tell};

/// Arguments of `ltm report`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run directories; several are laid over each other
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// HTML file; for a single run report.html in its directory
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Writes one self-contained HTML page.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let out = match (args.out, args.runs.as_slice()) {
        (Some(out), _) => out,
        (None, [run]) => RunPaths::new(run).report(),
        (None, _) => bail!("say where the report of several runs goes: --out FILE.html"),
    };
    let summary = write_report(&args.runs, &out)?;
    for note in &summary.notes {
        tell!("note: {note}");
    }
    say!("{} ({} kB)", summary.path.display(), summary.bytes / 1000)?;
    Ok(ExitCode::SUCCESS)
}
