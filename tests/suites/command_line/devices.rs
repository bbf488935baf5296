//! Which device computes, what a GPU that cannot be used is told of, and `ltm doctor`. The GPU is
//! the virtual one behind a libcuda of our own, so all of this runs on every machine.

use ltm_tests::program::{Outcome, Sandbox};

/// A healthy machine with one GPU.
const HEALTHY: &str = "";

/// Leaves out what is slow on a virtual GPU.
const QUICK: &str = "--set train.sample_every=0 --set train.validate_every=0";

/// Losses in `metrics.jsonl` of a run.
fn losses(sandbox: &Sandbox, run: &str) -> Vec<String> {
    let lines = String::from_utf8(sandbox.read(format!("{run}/metrics.jsonl"))).unwrap();
    let loss = |line: &str| {
        let metrics: serde_json::Value = serde_json::from_str(line).unwrap();
        metrics["nll"].as_f64().map(|loss| loss.to_string())
    };
    lines.lines().filter_map(loss).collect()
}

#[test]
fn auto_takes_a_gpu_where_there_is_one_and_says_why_where_there_is_none() {
    let sandbox = Sandbox::with_corpus();
    let train = |run: &str, settings: &str, device: &str| {
        let more = format!("--device {device} --set train.iterations=2 {QUICK}");
        sandbox.run_with_gpu(settings, sandbox.training(run, &more))
    };
    let with = train("gpu", HEALTHY, "auto");
    assert!(!with.stderr.contains("device auto"), "{}", with.stderr);
    let words = with.succeeds();
    assert!(words.contains("cuda (Virtual GPU, sm_80)"), "{words}");

    for (run, settings, reason) in [
        ("none", "devices=0", "no GPU"),
        ("old", "version=10020", "driver is too old"),
        ("small", "capability=75", "Virtual GPU has 7.5"),
    ] {
        let without = train(run, settings, "auto");
        let told: Vec<_> =
            without.stderr.lines().filter(|line| line.contains("device auto")).collect();
        assert_eq!(told.len(), 1, "{}", without.stderr);
        assert!(told[0].contains("takes the CPU") && told[0].contains(reason), "{}", told[0]);
        without.succeeds();
    }
    let asked = train("cpu", "devices=0", "cpu");
    assert!(!asked.stderr.contains("GPU"), "{}", asked.stderr);
    asked.succeeds();

    // The same kernels in the same order: the same bits.
    train("vm", HEALTHY, "vm").succeeds();
    let found = losses(&sandbox, "gpu");
    assert!(found.len() >= 2, "{found:?}");
    assert_eq!(found, losses(&sandbox, "vm"));
}

#[test]
fn graphs_give_the_bits_of_single_launches() {
    let sandbox = Sandbox::with_corpus();
    let train = |run: &str, settings: &str, graphs: bool, sync: &str| {
        let more = format!("--set train.iterations=4 --set train.graphs={graphs} {QUICK}");
        let training = sandbox.training(run, &format!("--device cuda {more}"));
        let mut command = sandbox.command_with_gpu(settings, training);
        Outcome::of(command.env("LTM_CUDA_SYNC", sync))
    };
    train("graphs", HEALTHY, true, "0").succeeds();
    train("direct", HEALTHY, false, "0").succeeds();
    let found = losses(&sandbox, "graphs");
    assert!(found.len() >= 4, "{found:?}");
    assert_eq!(found, losses(&sandbox, "direct"));
    let weights =
        |run: &str| sandbox.read(format!("{run}/checkpoints/iter_00000004/model.safetensors"));
    assert!(weights("graphs") == weights("direct"), "other weights");

    // A graph that cannot be made is an error; so the first training was made of them, and where
    // none are wanted or possible, nothing asks for one.
    let failing = train("failing", "instantiate=2", true, "0");
    failing.fails(&["making a graph of a recording", "CUDA_ERROR_OUT_OF_MEMORY (2)"]);
    train("asked", "instantiate=2", false, "0").succeeds();
    train("waiting", "instantiate=2", true, "1").succeeds();
    train("without", "capture=801,instantiate=2", true, "0").succeeds();
    assert_eq!(found, losses(&sandbox, "without"));
    train("broken", "capture=999", true, "0").fails(&["beginning a recording", "(999)"]);
}

#[test]
fn a_gpu_that_cannot_be_used_is_refused_before_anything_is_written() {
    let sandbox = Sandbox::with_corpus();
    for (settings, words) in [
        ("version=10020", &["too old", "CUDA 10.2", "series"][..]),
        ("devices=0", &["no GPU", "CUDA_VISIBLE_DEVICES"]),
        ("capability=75", &["8.0", "has 7.5"]),
        ("init=803", &["(803)", "restart"]),
    ] {
        let training = sandbox.training("run", "--device cuda");
        sandbox.run_with_gpu(settings, training).fails(words);
        assert!(!sandbox.path("run").exists(), "{settings}");
    }
    let training = sandbox.training("run", "--device cuda");
    sandbox.run_with_gpu("compile=218", training).fails(&["rejects", "(218)", "the test says so"]);
    let training = sandbox.training("run2", "--device cuda");
    sandbox.run_with_gpu("memory=65536", training).fails(&["not even one sequence", "64.0 KiB"]);
    assert!(!sandbox.path("run2").exists());
    if !std::path::Path::new("/proc/driver/nvidia/version").exists() {
        let training = sandbox.training("run3", "--device cuda");
        let words = ["no NVIDIA driver", "libcuda.so.1", "--device cpu"];
        sandbox.run(training).fails(&words);
    }
}

#[test]
fn a_kernel_that_fails_in_mid_training_is_named_and_loses_no_checkpoint() {
    let sandbox = Sandbox::with_corpus();
    let training = |run: &str, device: &str| {
        sandbox.training(run, &format!("--set train.iterations=9 {QUICK} --device {device}"))
    };
    // An iteration is some 240 launches, and every second one is saved.
    let outcome = sandbox.run_with_gpu("fault=1000", training("run", "cuda"));
    outcome.fails(&["went wrong on the GPU", "(700)", "rms_norm_forward_f32", "LTM_CUDA_SYNC=1"]);
    let mut command = sandbox.command_with_gpu("fault=1000", training("again", "cuda"));
    let outcome = Outcome::of(command.env("LTM_CUDA_SYNC", "1"));
    assert!(!outcome.stderr.contains("launched since"), "{}", outcome.stderr);
    outcome.fails(&["_f32: on the GPU: CUDA_ERROR_ILLEGAL_ADDRESS"]);

    sandbox.run(["inspect", "run"]).succeeds();
    let mut resumed = training("run", "cpu");
    resumed.push("--resume".into());
    let words = sandbox.run(resumed).succeeds();
    assert!(words.contains("resumed at iteration 4"), "{words}");
    assert!(words.contains("9 iterations done"), "{words}");
}

#[test]
fn doctor_tells_what_there_is() {
    let sandbox = Sandbox::with_corpus();
    let doctor = |settings: &str, device: &str| {
        sandbox.run_with_gpu(settings, ["doctor", "--threads", "1", "--device", device])
    };
    let words = doctor(HEALTHY, "cuda").succeeds();
    let modules = ltm_ptx::launch::modules().count();
    for word in [
        "libcuda.so, which is",
        "CUDA 12.4",
        "GPU 0 (used): Virtual GPU, 1.0 GiB, compute capability 8.0",
        &format!("{modules} of {modules} modules decoded"),
        &format!("{modules} of {modules} modules loaded"),
        "self-test in f32: ok",
        "self-test in bf16: ok",
        &format!("{modules} files of"),
        "free",
        "can train on the NVIDIA GPU and on the CPU",
    ] {
        assert!(words.contains(word), "no {word:?} in\n{words}");
    }

    // No GPU is no illness; one that cannot be used is, and so is one that was asked for.
    let words = doctor("devices=0", "cpu").succeeds();
    assert!(words.contains("can train on the CPU"), "{words}");
    let fails = |settings: &str, device: &str, words: &[&str]| {
        let outcome = doctor(settings, device);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
        for word in words {
            assert!(outcome.stdout.contains(word), "no {word:?} in\n{}", outcome.stdout);
        }
    };
    fails("devices=0", "cuda", &["no GPU", "Something is wrong"]);
    fails("version=10020", "cpu", &["too old", "no NVIDIA GPU can be used"]);
    fails("capability=75", "cpu", &["has 7.5", "no NVIDIA GPU can be used"]);
    fails("fault=5", "cuda", &["self-test in f32: FAIL", "(700)", "fails in f32"]);
}

#[test]
fn doctor_names_every_module_that_the_driver_rejects() {
    let sandbox = Sandbox::with_corpus();
    let outcome = sandbox.run_with_gpu("compile=222", ["doctor", "--device", "cuda"]);
    assert_eq!(outcome.code, Some(1));
    let modules = ltm_ptx::launch::modules().count();
    // By each module, and by both self-tests.
    let rejected = outcome.stdout.matches("the driver rejects the kernels of").count();
    assert_eq!(rejected, modules + 2);
    let none = format!("0 of {modules} modules loaded");
    for word in [none.as_str(), "(222)", "install a driver of series", "says so"] {
        assert!(outcome.stdout.contains(word), "no {word:?} in\n{}", outcome.stdout);
    }
}
