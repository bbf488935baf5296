//! `ltm bench --kernels`: every operation and the parts of an iteration, on whatever there is.

use ltm_tests::program::Sandbox;
use serde_json::Value;

/// A model that the virtual GPU runs at once.
const SMALL: &str = "--shape tiny --set model.dim=32 --set model.heads=2 --set model.vocab_size=40 \
                     --set model.ffn_dim=48 --set model.max_seq_len=16 --set model.window=8 \
                     --set model.latents=4 --set fast.steps=2 --set train.batch=2 --threads 1 \
                     --samples 1 --rotate 1 --iterations 1 --warmup 1 --reading paper";

pub fn bench(more: &str) -> Vec<String> {
    format!("bench --kernels {SMALL} {more}").split_whitespace().map(str::to_owned).collect()
}

/// The clock is the device's on a GPU, and the host's, which the output says, elsewhere.
#[test]
fn operations_and_parts_are_timed_on_every_device() {
    let sandbox = Sandbox::with_corpus();
    for (device, clock) in [("cuda", "device events"), ("vm", "the host's clock")] {
        let outcome = sandbox.run_with_gpu("", bench(&format!("--device {device} --json")));
        let lines: Vec<Value> =
            outcome.succeeds().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (iteration, operations) = lines.split_last().unwrap();
        assert!(operations.len() > 40, "{}", operations.len());
        for line in operations {
            assert_eq!(line["clock"], clock);
            assert!(line["kernel"].is_string() && line["seconds"].as_f64() > Some(0.0), "{line}");
            assert!(line["share_of_ceiling"].as_f64() > Some(0.0), "{line}");
        }
        assert!(iteration["tokens_per_second"].as_f64() > Some(0.0), "{iteration}");
        let parts = iteration["parts"].as_array().unwrap();
        let names: Vec<_> = parts.iter().map(|part| part["part"].as_str().unwrap()).collect();
        assert_eq!(names, ["begin", "fast step", "slow step", "update", "the rest"]);
        assert!(parts.iter().all(|part| part["seconds"].as_f64().is_some()), "{iteration}");
    }
    let words = sandbox.run(bench("--device cpu")).succeeds();
    for word in ["by the host's clock", "ceilings: a copy", "window_attention_backward", "of floor"]
    {
        assert!(words.contains(word), "no {word:?} in\n{words}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let sandbox = Sandbox::with_corpus();
    let misused = |args: &str, words: &[&str]| sandbox.run(args.split(' ')).is_misused(words);
    misused("bench --samples 3", &["--kernels"]);
    misused("bench --rotate much --kernels", &["expected bytes"]);
    misused("bench --kernels --count", &["cannot be used with"]);
    sandbox.refuses(["bench", "--kernels", "--samples", "0"], &["--samples is 0", "at least 1"]);
}
