//! Who computes matrix products: our kernels, or a cuBLASLt of our own on the virtual GPU, whose sums
//! are other bits.

use ltm_tests::program::{Outcome, Sandbox};
use serde_json::Value;

const QUICK: &str = "--device cuda --set train.sample_every=0 --set train.validate_every=0";

fn losses(sandbox: &Sandbox, run: &str) -> Vec<f64> {
    let lines = String::from_utf8(sandbox.read(format!("{run}/metrics.jsonl"))).unwrap();
    let values = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    values.map(|metrics| metrics["nll"].as_f64().unwrap()).collect()
}

fn train(sandbox: &Sandbox, run: &str, settings: &str, more: &str) -> Outcome {
    let training = sandbox.training(run, &format!("{QUICK} {more}"));
    Outcome::of(&mut sandbox.command_with_cublas(settings, training))
}

#[test]
fn products_go_to_whom_they_are_given() {
    let sandbox = Sandbox::with_corpus();
    let plain = sandbox.training("plain", QUICK);
    sandbox.run_with_gpu("", plain).succeeds();
    let alone = sandbox.training("alone", &format!("{QUICK} --gemm cublas"));
    let refused = sandbox.run_with_gpu("", alone);
    refused.fails(&["no cuBLASLt", "libcublasLt.so.12", "--gemm own"]);
    assert!(!sandbox.path("alone").exists());

    train(&sandbox, "own", "", "--gemm own").succeeds();
    train(&sandbox, "cublas", "", "--gemm cublas").succeeds();
    train(&sandbox, "direct", "", "--gemm cublas --set train.graphs=false").succeeds();
    let [plain, own, cublas] = ["plain", "own", "cublas"].map(|run| losses(&sandbox, run));
    assert_eq!(plain, own, "without a library, auto is own");
    assert_ne!(own, cublas, "the library computes nothing");
    assert_eq!(cublas, losses(&sandbox, "direct"), "in a graph as outside");
    for (own, cublas) in own.iter().zip(&cublas) {
        assert!((own / cublas - 1.0).abs() < 1e-4, "{own} and {cublas}");
    }
    train(&sandbox, "lacking", "cublas_lacks=1", "--gemm cublas").succeeds();
    assert_eq!(own, losses(&sandbox, "lacking"));
    train(&sandbox, "broken", "cublas=14", "--gemm cublas").fails(&["cuBLASLt", "(14)"]);
    let eval = ["eval", "own", "--data", "shards", "--device", "cpu", "--gemm", "cublas"];
    sandbox.run(eval).fails(&["no cuBLASLt", "--device cuda"]);
}

/// What was measured first stays, though another measurement would find something else.
#[test]
fn a_resumed_run_keeps_its_choices() {
    let sandbox = Sandbox::with_corpus();
    let more = "--gemm auto --set train.checkpoint_every=2 --set train.iterations=";
    train(&sandbox, "run", "", &format!("{more}2")).succeeds();
    let state = |run: &str, iteration: u32| -> Value {
        let path = format!("{run}/checkpoints/iter_{iteration:08}/state.json");
        serde_json::from_slice(&sandbox.read(path)).unwrap()
    };
    let chosen = state("run", 2)["products"]["chosen"].as_object().unwrap().clone();
    assert!(chosen.len() > 5, "{chosen:?}");
    assert!(chosen.contains_key("backward_weight 64x16x48 f32 added"), "{chosen:?}");
    // Who wins on the virtual GPU is chance: the checkpoint says now that the library always did.
    let given = |by: &str| {
        let mut state = state("run", 2);
        for (_, choice) in state["products"]["chosen"].as_object_mut().unwrap() {
            *choice = by.into();
        }
        let run = format!("all_{by}");
        sandbox.copy("run", &run);
        let path = format!("{run}/checkpoints/iter_00000002/state.json");
        sandbox.write(path, serde_json::to_vec(&state).unwrap());
        train(&sandbox, &run, "", &format!("{more}4 --resume")).succeeds();
        run
    };
    let (own, cublas) = (given("own"), given("cublas"));
    assert_ne!(losses(&sandbox, &own)[3], losses(&sandbox, &cublas)[3]);
    for (run, by) in [(&own, "own"), (&cublas, "cublas")] {
        let products = state(run, 4)["products"].clone();
        assert!(products["chosen"].as_object().unwrap().values().all(|v| v == by), "{products}");
        assert_eq!(products["library"], "12.4.2");
    }
    let elsewhere = sandbox.training("run", &format!("{QUICK} {more}4 --resume"));
    let words = sandbox.run_with_gpu("", elsewhere).succeeds();
    assert!(words.contains("began with cuBLASLt 12.4.2"), "{words}");
    assert_eq!(state("run", 4)["products"]["chosen"].as_object(), Some(&chosen), "they are kept");
}

#[test]
fn doctor_and_bench_show_the_library() {
    let sandbox = Sandbox::with_corpus();
    let doctor = ["doctor", "--device", "cuda"];
    let words = sandbox.run_with_gpu("", doctor).succeeds();
    assert!(words.contains("own kernels alone; no cuBLASLt"), "{words}");
    let words = Outcome::of(&mut sandbox.command_with_cublas("", doctor)).succeeds();
    for word in ["cuBLASLt 12.4.2 or own", "in f32 with cuBLASLt: ok", "in bf16 with cuBLASLt: ok"]
    {
        assert!(words.contains(word), "no {word:?} in\n{words}");
    }
    let bench = crate::bench::bench("--device cuda --json");
    let words = Outcome::of(&mut sandbox.command_with_cublas("", bench)).succeeds();
    let lines = words.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let beside: Vec<Value> = lines.filter(|line| line["cublas"].is_object()).collect();
    assert!(beside.len() > 15, "{words}");
    assert!(beside.iter().all(|line| line["product_by"] == "cuBLASLt 12.4.2"), "{beside:?}");
}
