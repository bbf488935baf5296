//! Places that cannot be written, and disks that are full.

use std::process::Command;

use ltm_tests::program::{Outcome, Sandbox, ltm};

#[test]
fn places_that_are_no_directories() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    for place in ["corpus.jsonl", "corpus.jsonl/run"] {
        let words = [place, "cannot create", "choose a directory you may write to"];
        sandbox.refuses(sandbox.training(place, ""), &words);
    }
    sandbox.refuses("report run --out corpus.jsonl/r.html".split(' '), &["cannot write"]);
    sandbox.refuses("report run --out shards".split(' '), &["shards", "cannot write"]);
    sandbox.refuses("quickstart --out corpus.jsonl".split(' '), &["cannot create corpus.jsonl"]);
    // In the place of the checkpoints lies a file.
    sandbox.write("taken/checkpoints", "");
    sandbox.refuses(sandbox.training("taken", ""), &["taken/checkpoints"]);
}

/// Runs the program where no file may grow beyond `blocks` of 512 bytes: to the program a disk
/// that is full, for everything but short files.
fn on_a_full_disk(sandbox: &Sandbox, blocks: u32, args: Vec<String>) -> Outcome {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(ltm()).args(args);
    Outcome::of(command.current_dir(sandbox.path("")))
}

#[test]
fn a_full_disk_while_saving_keeps_the_last_checkpoint() {
    let sandbox = Sandbox::with_corpus();
    let settings = "--set train.checkpoint_every=2 --set train.sample_every=0";
    sandbox.train("straight", &format!("{settings} --set train.iterations=6")).succeeds();
    sandbox.train("run", &format!("{settings} --set train.iterations=2")).succeeds();
    let saved = sandbox.read("run/checkpoints/iter_00000002/model.safetensors");
    let more = format!("{settings} --set train.iterations=6");
    let training = sandbox.training("run", &format!("--resume {more} --set slow.total=2"));
    let outcome = on_a_full_disk(&sandbox, 32, training.clone());
    outcome.fails(&["cannot write", "iter_00000004", "model.safetensors"]);
    let checkpoints: Vec<_> = std::fs::read_dir(sandbox.path("run/checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(checkpoints, ["iter_00000002"]);
    assert_eq!(sandbox.read("run/checkpoints/iter_00000002/model.safetensors"), saved);
    sandbox.run(training).succeeds();
}

#[test]
fn a_full_disk_while_tokenizing_publishes_nothing() {
    let sandbox = Sandbox::with_corpus();
    let args = "tokenize corpus.jsonl --tokenizer bytes --out new";
    let args = |out: &str| format!("{args}{out}").split(' ').map(str::to_owned).collect();
    on_a_full_disk(&sandbox, 8, args("")).fails(&["cannot write", "new/train_000000.bin"]);
    assert!(!sandbox.path("new/tokenizer.json").exists());
    assert!(!sandbox.path("new/train_000000.bin").exists());
    sandbox.run::<String>(args("")).succeeds();
}
