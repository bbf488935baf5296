//! `ltm parity`.

use std::path::PathBuf;
use std::process::ExitCode;

use ltm::parity;

use super::device::DeviceArgs;
use super::output::say;

/// Arguments of `ltm parity`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Fixtures: NAME.safetensors with NAME.json beside it
    #[arg(required = true)]
    fixtures: Vec<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Print failures and the totals only
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Runs the comparison; exit code 1 if anything is over its allowance.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut passed = true;
    for fixture in &args.fixtures {
        let dtype = args.device.dtype()?;
        let report = parity::run_on(fixture, &|| args.device.open(), dtype)?;
        passed &= report.passed();
        if args.json {
            say!("{}", serde_json::to_string(&report)?)?;
            continue;
        }
        say!("{} on {}", fixture.display(), report.device)?;
        for check in report.checks.iter().filter(|check| !args.quiet || !check.passed) {
            let verdict = if check.passed { "ok  " } else { "FAIL" };
            say!(
                "  {verdict} {:<48} {:>10.3e} of {:>10.3e} {}",
                check.key,
                check.error,
                check.allowed,
                check.measure
            )?;
        }
        for key in &report.uncovered {
            say!("  FAIL {key}: nothing was compared with it")?;
        }
        let failed = report.checks.iter().filter(|check| !check.passed).count();
        say!("  {} quantities, {failed} over their allowance", report.checks.len())?;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
