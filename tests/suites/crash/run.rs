//! Runs that are begun, cut off and compared.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use ltm_tests::program::Sandbox;

/// Starts a training, or continues it if its directory exists.
pub fn start(sandbox: &Sandbox, run: &str, settings: &str) -> Child {
    let resume = if sandbox.path(run).is_dir() { "--resume" } else { "" };
    let mut command = sandbox.command(sandbox.training(run, &format!("{settings} {resume}")));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills a process outright, as a power failure would, and buries it.
pub fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The metrics of a run.
pub fn metrics(sandbox: &Sandbox, run: &str) -> PathBuf {
    sandbox.path(run).join("metrics.jsonl")
}

/// Two runs wrote the same figures and texts, and the same checkpoint after `iterations`.
#[track_caller]
pub fn assert_equal(sandbox: &Sandbox, a: &str, b: &str, iterations: u64) {
    let checkpoint = format!("checkpoints/iter_{iterations:08}");
    let of_checkpoint = [
        "model.safetensors",
        "optimizer.safetensors",
        "checksums.json",
        "state.json",
        "config.json",
    ]
    .map(|file| format!("{checkpoint}/{file}"));
    let of_run = ["metrics.jsonl", "samples.jsonl", "config.toml"].map(str::to_owned);
    for file in of_run.iter().chain(&of_checkpoint) {
        let read = |run: &str| sandbox.read(format!("{run}/{file}"));
        assert!(read(a) == read(b), "{file} of {a} and of {b} differ");
    }
    let names = |run: &str| {
        let entries = std::fs::read_dir(sandbox.path(run).join("checkpoints")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(a), names(b), "checkpoints of {a} and of {b}");
}
