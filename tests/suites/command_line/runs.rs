//! Run directories that are taken, missing, or of a run with other settings.

use std::fs;
use std::process::Stdio;

use ltm_tests::program::{Outcome, Sandbox, wait_for_lines};

#[test]
fn a_run_is_not_overwritten() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    sandbox.refuses(sandbox.training("run", ""), &["run", "config.toml", "--resume"]);
}

#[test]
fn nothing_to_resume() {
    let sandbox = Sandbox::with_corpus();
    let words = ["no run to resume in run", "without --resume"];
    sandbox.refuses(sandbox.training("run", "--resume"), &words);
}

/// What shapes the weights is fixed; how long to train and what to keep is not.
#[test]
fn a_resumed_run_keeps_its_settings() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    let refuses = |change: &str, words: &[&str]| {
        let training = sandbox.training("run", &format!("--resume {change}"));
        sandbox.refuses(training, &[&["start a new run"], words].concat());
    };
    refuses("--set model.dim=32", &["model.dim was 16, is now 32"]);
    refuses("--set slow.lr=1", &["slow.lr was", "is now 1"]);
    refuses("--set train.seed=2", &["train.seed was 1, is now 2"]);
    refuses("--set reading=paper", &["reading was \"released\", is now \"paper\""]);
    sandbox.write("other.toml", "[fast]\nsteps = 3\n");
    refuses("--config other.toml", &["fast.steps was 2, is now 3"]);
    refuses("--preset small", &["is now"]);
    // The command that began it, word for word.
    sandbox.train("run", "--resume").succeeds();
    let longer = "--set train.iterations=5 --set train.checkpoint_every=1";
    let said = sandbox.train("run", &format!("--resume {longer}")).succeeds();
    assert!(said.contains("resumed at iteration 3") && said.contains("5 iterations"), "{said}");
    // A preset says nothing of the number of iterations.
    let said = sandbox.train("run", "--resume").succeeds();
    assert!(said.contains("5 iterations done") || said.contains("3 iterations"), "{said}");
}

#[test]
fn a_changed_corpus_is_noticed() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    let args = "tokenize corpus.jsonl --tokenizer bytes --out fewer --val-docs 20";
    sandbox.run(args.split(' ')).succeeds();
    let words = ["fewer: the corpus has", "windows", "resume with the corpus it was started with"];
    sandbox.refuses(sandbox.training("run", "--resume --data fewer"), &words);
}

#[test]
fn two_trainings_into_one_directory() {
    let sandbox = Sandbox::with_corpus();
    let endless = "--set train.iterations=1000000 --set train.sample_every=0";
    let mut first = sandbox.command(sandbox.training("run", endless));
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_lines(&sandbox.path("run/metrics.jsonl"), 2, &mut first);
    let holder = format!("process {}", first.id());
    for resume in ["", "--resume"] {
        let second = sandbox.train("run", &format!("{endless} {resume}"));
        second.fails(&["another training holds run", &holder, "choose another directory"]);
    }
    assert!(first.try_wait().unwrap().is_none());
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock went with its holder.
    let few = "--set train.iterations=1 --set train.sample_every=0";
    sandbox.train("run", &format!("--resume {few}")).succeeds();
}

/// `ltm ... | head` ends quietly, and a training does not end with its reader.
#[test]
fn a_reader_that_has_gone() {
    let sandbox = Sandbox::with_corpus();
    let deaf = |args: Vec<String>| {
        let mut child = sandbox.command(args).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        Outcome::new("with a closed pipe".to_owned(), output)
    };
    deaf(sandbox.training("run", "")).succeeds();
    assert!(sandbox.path("run/checkpoints/iter_00000003").is_dir());
    let words = |args: &str| args.split(' ').map(str::to_owned).collect::<Vec<_>>();
    deaf(words("generate run --samples 3")).succeeds();
    deaf(words("inspect run")).succeeds();
    deaf(words("eval run --data shards")).succeeds();
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else { return };
    let mut command = sandbox.command(["inspect", "run"]);
    Outcome::of(command.stdout(full)).fails(&["standard output", "No space left"]);
}
