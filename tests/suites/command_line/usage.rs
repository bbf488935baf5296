//! Help, wrong flags, missing arguments.

use ltm_tests::program::Sandbox;

const COMMANDS: [&str; 15] = [
    "quickstart",
    "tokenize",
    "train",
    "eval",
    "generate",
    "encode",
    "probe",
    "gsm8k",
    "parity",
    "plan",
    "bench",
    "doctor",
    "inspect",
    "report",
    "sweep",
];

#[test]
fn help_lists_exactly_the_commands_that_work() {
    let sandbox = Sandbox::with_corpus();
    let help = sandbox.run(["--help"]).succeeds();
    let list = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let listed: Vec<_> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert_eq!(listed, COMMANDS);
    for command in COMMANDS {
        let help = sandbox.run([command, "--help"]).succeeds();
        assert!(help.contains(&format!("Usage: ltm {command}")), "{help}");
        for line in help.lines().filter(|line| line.trim_start().starts_with("--")) {
            assert!(line.contains("  ") || line.ends_with('>'), "{command} {line} has no help");
        }
    }
}

#[test]
fn wrong_usage_ends_with_exit_code_2() {
    let sandbox = Sandbox::with_corpus();
    let misused = |args: &str, words: &[&str]| sandbox.run(args.split(' ')).is_misused(words);
    misused("frobnicate", &["frobnicate"]);
    misused("train --data shards", &["--out"]);
    misused("train --out run", &["--data"]);
    misused("train --data shards --out run --colour blue", &["--colour"]);
    misused("train --data shards --out run --preset huge", &["huge", "tiny, small, medium, large"]);
    misused("train --data shards --out run --device gpu", &["gpu", "auto, cpu, cuda or vm"]);
    misused("train --data shards --out run --threads 100000", &["--threads", "0", "1024"]);
    misused("train --data shards --out run --threads many", &["many", "--threads"]);
    misused("tokenize corpus.jsonl", &["--out"]);
    misused("tokenize --out new", &["INPUTS"]);
    misused("tokenize corpus.jsonl --out new --tokenizer klingon", &["klingon", "gpt2 or bytes"]);
    misused("eval run", &["--data"]);
    misused("eval run --data shards --split test", &["test", "train or val"]);
    misused("eval run --data shards --batch two", &["two"]);
    misused("generate", &["RUN"]);
    misused("gsm8k run --data q.jsonl", &["--out"]);
    misused("gsm8k run --data q.jsonl --out a.jsonl --latents none", &["none", "question"]);
    misused("inspect", &["PATHS"]);
    misused("report", &["RUNS"]);
    misused("parity", &["FIXTURE"]);
    assert!(!sandbox.path("run").exists() && !sandbox.path("new").exists());
}

#[test]
fn values_that_no_command_can_use_are_refused() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    let refuses = |args: &str, words: &[&str]| sandbox.refuses(args.split(' '), words);
    refuses("eval run --data shards --batch 0", &["--batch is 0", "at least 1"]);
    refuses("eval run --data shards --context 0", &["context of 0", "1 to 31"]);
    refuses("eval run --data shards --context 32", &["context of 32", "1 to 31"]);
    refuses("generate run --temperature=-1", &["temperature = -1", "0 or above"]);
    refuses("generate run --temperature nan", &["temperature = NaN"]);
    refuses("generate run --top-p 2", &["top_p = 2", "up to 1"]);
    let long = "x".repeat(40);
    refuses(&format!("generate run --prompt {long}"), &["41 tokens", "32", "shorten the prompt"]);
    refuses("plan --gflops 0", &["peak of 0", "above 0"]);
    refuses("bench --iterations 0 --warmup 0", &["--iterations is 0", "at least 1"]);
    refuses("tokenize corpus.jsonl --out new --tokens-per-shard 0", &["tokens_per_shard is 0"]);
    refuses("report run run", &["--out FILE.html"]);
}

#[test]
fn missing_files_are_named() {
    let sandbox = Sandbox::with_corpus();
    let refuses = |args: &str, words: &[&str]| sandbox.refuses(args.split(' '), words);
    refuses("tokenize nothing.txt --out new", &["nothing.txt", "No such file"]);
    refuses("eval nothing --data shards", &["nothing", "run directory"]);
    refuses("generate nothing", &["nothing", "run directory"]);
    refuses("inspect nothing", &["nothing", "no such file"]);
    refuses("inspect .", &["neither a run nor a checkpoint"]);
    refuses("report nothing", &["nothing", "ltm train"]);
    refuses("parity nothing.safetensors", &["nothing.safetensors", "NAME.json beside it"]);
    refuses("plan --config nothing.toml", &["nothing.toml"]);
    let training = sandbox.training("run", "--data nothing");
    sandbox.refuses(training, &["nothing", "no such directory", "ltm tokenize"]);
    let training = sandbox.training("run", "--config nothing.toml");
    sandbox.refuses(training, &["nothing.toml"]);
    // The reason is given once.
    let error = sandbox.run(["plan", "--config", "nothing.toml"]).stderr;
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
}
