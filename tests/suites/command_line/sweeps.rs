//! Sweeps: what they train, how they go on, and what they refuse.

use std::process::Stdio;

use ltm_tests::program::{Outcome, Sandbox, files, wait_for_lines};
use serde_json::Value;

use crate::interrupt::interrupt;

/// The micro model, a validation every other iteration.
const BASE: &str = "preset = \"tiny\"\nmodel.dim = 16\nmodel.heads = 2\nmodel.max_seq_len = 32\n\
                    model.window = 12\nmodel.latents = 4\nfast.steps = 2\nslow.warmup = 2\n\
                    train.batch = 2\ntrain.validate_every = 2\ntrain.validation_sequences = 3\n\
                    train.sample_every = 0\ntrain.checkpoint_every = 0\n";

fn file(tokens: usize, cells: &str) -> String {
    format!(
        "seeds = [1, 2]\ntokens = {tokens}\n[evaluate]\nsequences = 5\nsamples = 2\n[base]\n{BASE}{cells}"
    )
}

/// Another number of fast steps, and no latents at all.
const CELLS: &str = "[grid]\nfast.steps = [1, 3]\n[[cell]]\nname = \"plain\"\nmodel.latents = 0\n";

fn sweep(out: &str) -> Vec<String> {
    let line = format!("sweep sweep.toml --data shards --threads 1 --device cpu --out {out}");
    line.split(' ').map(str::to_owned).collect()
}

fn summary(sandbox: &Sandbox, out: &str) -> Value {
    serde_json::from_slice(&sandbox.read(format!("{out}/sweep.json"))).unwrap()
}

/// The summary without what depends on the hour.
fn timeless(mut summary: Value) -> Value {
    for cell in summary["cells"].as_array_mut().unwrap() {
        cell["seconds"].take();
        for run in cell["runs"].as_array_mut().unwrap() {
            run["seconds"].take();
        }
    }
    summary
}

#[test]
fn a_sweep_is_trained_scored_and_told() {
    let sandbox = Sandbox::with_corpus();
    let broken = "[[cell]]\nname = \"wild\"\nslow.lr = 1e30\nslow.clip = 0\nslow.warmup = 0\n";
    sandbox.write("sweep.toml", file(640, &format!("{CELLS}{broken}")));
    let dry = sandbox.run([&sweep("out")[..], &["--dry-run".to_owned()]].concat()).succeeds();
    assert!(dry.contains("steps=3") && dry.contains("640") && dry.contains("in all"), "{dry}");
    assert!(!sandbox.path("out").exists());

    let said = sandbox.run(sweep("out")).succeeds();
    for words in ["run 8 of 8: wild, seed 2, 10 iterations", "wild, seed 1 failed", "z has seen"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let found = summary(&sandbox, "out");
    assert_eq!(found["finished"], true);
    let cell = |name: &str| {
        let cells = found["cells"].as_array().unwrap();
        cells.iter().find(|cell| cell["name"] == name).unwrap()
    };
    let figure = |cell: &Value, key: &str| {
        let figures = cell["figures"].as_array().unwrap();
        figures.iter().find(|figure| figure["key"] == key).unwrap().clone()
    };
    let number = |value: &Value| value.as_f64().unwrap();
    for name in ["steps=1", "steps=3", "plain"] {
        let cell = cell(name);
        assert_eq!((&cell["iterations"], &cell["tokens"]), (&10.into(), &640.0.into()));
        let runs = cell["runs"].as_array().unwrap();
        let of_runs: Vec<f64> = runs
            .iter()
            .map(|run| {
                let figures = run["figures"].as_array().unwrap();
                number(&figures.iter().find(|figure| figure["key"] == "bound").unwrap()["value"])
            })
            .collect();
        let bound = figure(cell, "bound");
        let (mean, half) = ((of_runs[0] + of_runs[1]) / 2.0, (of_runs[0] - of_runs[1]) / 2.0);
        assert!((number(&bound["mean"]) - mean).abs() < 1e-12 && half != 0.0);
        assert!((number(&bound["spread"]) - half.abs() * 2_f64.sqrt()).abs() < 1e-12);
        let parts = number(&figure(cell, "nll")["mean"]) + number(&figure(cell, "kl")["mean"]);
        assert!((parts - mean).abs() < 1e-12);
        for key in ["iw_bound", "prior_nll", "front_nll", "blocks_nll"] {
            assert!(number(&figure(cell, key)["mean"]) > 0.0, "{name} {key}");
        }
        // The same figures as the command that scores one run.
        let run = format!("out/runs/{name}/seed-1");
        let args =
            ["eval", &run, "--data", "shards", "--sequences", "5", "--threads", "1", "--json"];
        let eval: Value = serde_json::from_str(&sandbox.run(args).succeeds()).unwrap();
        assert!((number(&eval["rows"][0]["bound"]) - of_runs[0]).abs() < 1e-9);
    }
    // Without latents every view is that of a plain language model.
    let plain = |key: &str| number(&figure(cell("plain"), key)["mean"]);
    assert_eq!(plain("kl"), 0.0);
    for key in ["nll", "iw_bound", "prior_nll", "blocks_nll"] {
        assert!((plain(key) - plain("bound")).abs() < 1e-6, "{key}");
    }
    assert!(number(&cell("steps=3")["flops"]) > number(&cell("steps=1")["flops"]));
    let wild = cell("wild");
    assert_eq!(
        (&wild["runs"][0]["state"], &wild["figures"]),
        (&"failed".into(), &Value::Array(vec![]))
    );
    assert!(wild["runs"][0]["error"].as_str().unwrap().contains("validation after iteration 0"));

    let page = String::from_utf8(sandbox.read("out/sweep.html")).unwrap();
    assert_eq!(page.matches("<figure>").count(), 3);
    let picture = String::from_utf8(sandbox.read("out/sweep.svg")).unwrap();
    assert!(picture.starts_with("<svg xmlns") && picture.contains("steps=3, bound: "), "{picture}");
    let csv = String::from_utf8(sandbox.read("out/sweep.csv")).unwrap();
    let columns: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert!(columns.len() == 5 && columns.iter().all(|&n| n == columns[0]), "{csv}");
    let markdown = String::from_utf8(sandbox.read("out/sweep.md")).unwrap();
    assert!(markdown.starts_with("| cell | runs |") && markdown.contains("0 of 2, 2 failed"));

    // Once more: nothing is trained, and nothing changes.
    let before = files(&sandbox.path("out"));
    let again = sandbox.run(sweep("out")).succeeds();
    assert!(!again.contains("run 1 of"), "{again}");
    assert!(files(&sandbox.path("out")) == before);
    // With a further cell, only that one is trained.
    sandbox.write("sweep.toml", file(640, &format!("{CELLS}[[cell]]\nfast.steps = 4\n")));
    let more = sandbox.run(sweep("out")).succeeds();
    assert!(more.contains("run 4 of 8: steps=4") && !more.contains("run 1 of"), "{more}");
}

#[test]
fn it_goes_on_where_it_was_stopped() {
    let sandbox = Sandbox::with_corpus();
    sandbox.write("sweep.toml", file(64 * 60, CELLS));
    sandbox.run(sweep("straight")).succeeds();
    let mut command = sandbox.command(sweep("out"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = sandbox.path("out/runs/steps=3/seed-1/metrics.jsonl");
    wait_for_lines(&metrics, 7, &mut child);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = Outcome::new("interrupted".to_owned(), output).succeeds();
    assert!(said.contains("the same command goes on"), "{said}");
    assert_eq!(summary(&sandbox, "out")["finished"], false);
    let first = sandbox.read("out/runs/steps=1/seed-1/result.json");
    let said = sandbox.run(sweep("out")).succeeds();
    assert!(!said.contains("run 1 of"), "{said}");
    assert_eq!(sandbox.read("out/runs/steps=1/seed-1/result.json"), first);
    assert!(timeless(summary(&sandbox, "out")) == timeless(summary(&sandbox, "straight")));
}

#[test]
fn a_run_of_the_same_settings_is_taken_over_and_another_one_is_not() {
    let sandbox = Sandbox::with_corpus();
    sandbox.write("sweep.toml", file(640, CELLS));
    sandbox.write("base.toml", BASE.replace("preset = \"tiny\"\n", ""));
    let train = |run: &str, further: &str| {
        let line = format!(
            "train --preset tiny --config base.toml --data shards --threads 1 --out {run} --set \
             train.iterations=10 {further}"
        );
        sandbox.run(line.split_whitespace()).succeeds();
    };
    train("out/runs/plain/seed-2", "--set train.seed=2 --latents 0");
    let metrics = sandbox.read("out/runs/plain/seed-2/timing.jsonl");
    sandbox.run(sweep("out")).succeeds();
    assert_eq!(sandbox.read("out/runs/plain/seed-2/timing.jsonl"), metrics, "it was trained again");
    assert_eq!(summary(&sandbox, "out")["finished"], true);

    train("other/runs/plain/seed-2", "--latents 0");
    let words =
        ["plain/seed-2 holds a run of other settings", "train.seed is 1 there, 2 here", "--out"];
    sandbox.refuses(sweep("other"), &words);
    // A larger budget is another sweep.
    sandbox.write("sweep.toml", file(1280, CELLS));
    sandbox.refuses(sweep("out"), &["train.iterations is 10 there, 20 here"]);
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_trained() {
    let sandbox = Sandbox::with_corpus();
    let refuses = |text: String, words: &[&str]| {
        sandbox.write("sweep.toml", text);
        sandbox.refuses(sweep("out"), words);
        assert!(!sandbox.path("out").exists());
    };
    sandbox.refuses(sweep("out"), &["cannot read the sweep sweep.toml"]);
    refuses(
        file(640, "[grid]\nfast.stesp = [1]\n"),
        &["sweep.toml:21", "did you mean `fast.steps`"],
    );
    refuses(file(10, CELLS), &["cell steps=1", "10 tokens", "takes 64 tokens"]);
    refuses(
        file(640, "[[cell]]\nmodel.heads = 3\n"),
        &["cell heads=3", "sweep.toml:8", "model.dim"],
    );
    let long = "[[cell]]\nmodel.max_seq_len = 1000000\ntrain.batch = 1\ntokens = 1000000\n";
    refuses(file(640, long), &["shards", "one window needs 1000001"]);
    let deep = format!(
        "{}[[cell]]\nname = \"a\"\n",
        file(640, "").replace("= 2\n[base]", "= 2\ncontext = 32\n[base]")
    );
    refuses(deep, &["a context of 32 tokens in sequences of 32"]);
    sandbox.write("sweep.toml", file(640, CELLS));
    let nowhere: Vec<String> =
        sweep("out").into_iter().map(|arg| arg.replace("shards", "nowhere")).collect();
    sandbox.refuses(nowhere, &["nowhere"]);
    let bf16 = [&sweep("out")[..], &["--dtype".to_owned(), "bf16".to_owned()]].concat();
    sandbox.run(bf16).is_misused(&["the CPU computes in f32"]);
}
