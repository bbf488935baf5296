//! Settings that cannot work.

use ltm_tests::program::{MICRO, Sandbox};

#[track_caller]
fn set(sandbox: &Sandbox, setting: &str, words: &[&str]) {
    sandbox.refuses(sandbox.training("new", &format!("--set {setting}")), words);
    sandbox.refuses(["plan", "--preset", "tiny", "--set", setting], words);
    assert!(!sandbox.path("new").exists());
}

#[test]
fn unknown_keys() {
    let sandbox = Sandbox::with_corpus();
    set(&sandbox, "model.dmi=16", &["--set: unknown key `model.dmi`", "did you mean `model.dim`"]);
    set(&sandbox, "slow.batch=2", &["`slow.batch`", "did you mean `train.batch`"]);
    set(&sandbox, "zzz=2", &["`zzz`", "model, posterior, fast, slow and train"]);
    set(&sandbox, "train.batch", &["--set train.batch", "KEY=VALUE"]);
}

#[test]
fn values_out_of_range() {
    let sandbox = Sandbox::with_corpus();
    set(&sandbox, "train.batch=0", &["`train.batch = 0`", "(--set)", "expected 1 to"]);
    set(&sandbox, "train.batch=-1", &["`train.batch = -1`", "a whole number, 0 or above"]);
    set(&sandbox, "train.batch=many", &["`train.batch = \"many\"`", "a whole number"]);
    set(&sandbox, "train.iterations=1.5", &["train.iterations", "a whole number"]);
    set(&sandbox, "slow.lr=high", &["`slow.lr = \"high\"`", "expected a number"]);
    set(&sandbox, "slow.lr=-1", &["`slow.lr = -1`", "0 or above"]);
    set(&sandbox, "slow.lr=nan", &["`slow.lr = NaN`", "a finite number"]);
    set(&sandbox, "slow.beta2=1", &["slow.beta2", "0 to below 1"]);
    set(&sandbox, "fast.floor=2", &["fast.floor", "0 to 1"]);
    set(&sandbox, "reading=other", &["`reading = \"other\"`", "`released` or `paper`"]);
    set(&sandbox, "model.latent_rope=2", &["model.latent_rope", "expected true or false"]);
    set(&sandbox, "train.seq_len=9999", &["train.seq_len", "at most model.max_seq_len"]);
    set(&sandbox, "train.micro_batch=3", &["train.micro_batch", "a divisor of train.batch"]);
    set(&sandbox, "slow.trajectory_samples=99", &["slow.trajectory_samples", "fast.steps"]);
}

#[test]
fn variations_of_the_inference() {
    let sandbox = Sandbox::with_corpus();
    let methods = ["`fast.method = \"adam\"`", "`adamw`, `langevin`, `sgd`, `natural`"];
    set(&sandbox, "fast.method=adam", &methods);
    set(&sandbox, "fast.momentum=1", &["`fast.momentum = 1`", "0 to below 1"]);
    set(&sandbox, "fast.langevin_step=0", &["`fast.langevin_step = 0`", "above 0"]);
    set(&sandbox, "model.prior=flat", &["`model.prior = \"flat\"`", "`standard` or `learned`"]);
    set(&sandbox, "posterior.init=hot", &["`posterior.init = \"hot\"`", "`cold` or `warm`"]);
    set(&sandbox, "posterior.noise=no", &["`posterior.noise = \"no\"`", "`fixed` or `fresh`"]);
    set(&sandbox, "posterior.kl_weight=-1", &["`posterior.kl_weight = -1`", "0 to 1000000"]);
    set(&sandbox, "posterior.kl_warmup=-1", &["`posterior.kl_warmup = -1`", "0 or above"]);
    set(&sandbox, "posterior.free_bits=nan", &["posterior.free_bits", "a finite number"]);
    let both = "--set fast.method=langevin --set posterior.free_bits=1";
    let words = ["posterior.free_bits", "0 with fast.method = langevin"];
    sandbox.refuses(sandbox.training("new", both), &words);
}

/// Before anything is written.
#[test]
fn what_no_gpu_has_a_kernel_for() {
    let sandbox = Sandbox::with_corpus();
    for (setting, named) in [
        ("fast.method=natural", "fast.method = natural"),
        ("model.prior=learned", "model.prior = learned"),
        ("posterior.free_bits=0.5", "posterior.free_bits = 0.5"),
    ] {
        let settings = format!("--device vm --set {setting}");
        sandbox.refuses(sandbox.training("new", &settings), &[named, "--device cpu"]);
        assert!(!sandbox.path("new").exists());
    }
}

#[test]
fn values_that_do_not_fit_together() {
    let sandbox = Sandbox::with_corpus();
    set(&sandbox, "model.heads=3", &["model.dim", "multiple of 2 * model.heads = 6"]);
    set(&sandbox, "model.latents=5", &["`model.latents = 5`", "multiple of model.layers = 2"]);
    set(&sandbox, "model.latents=1024", &["model.latents", "at most 64 per layer"]);
    let both = "--set model.heads=3 --set model.latents=5";
    let words = ["model.dim", "model.latents"];
    sandbox.refuses(sandbox.training("new", both), &words);
}

#[test]
fn more_than_the_memory_there_is() {
    let sandbox = Sandbox::with_corpus();
    for device in ["cpu", "vm"] {
        let little = format!("--device {device} --memory 20KiB");
        let words = ["needs", "bytes", "20480 free (20.0 KiB)", "not even one sequence"];
        sandbox.refuses(sandbox.training("new", &little), &words);
        assert!(!sandbox.path("new").exists());
    }
    let words = ["--memory", "expected bytes, such as 512MiB"];
    sandbox.run(["plan", "--memory", "much"]).is_misused(&words);
}

/// The choice is made by the plan that is printed, stored with the run, and free to change.
#[test]
fn a_batch_is_split_to_fit() {
    let sandbox = Sandbox::with_corpus();
    let plan = |settings: &str| {
        let micro = ltm_tests::file(MICRO);
        let args = format!("plan --preset tiny --config {} --json {settings}", micro.display());
        let json = sandbox.run(args.split_whitespace()).succeeds();
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    };
    let batch = "--set train.batch=2";
    let one = plan(&format!("{batch} --set train.micro_batch=1"));
    let memory = one["memory"]["total"].as_u64().unwrap();
    let chosen = plan(&format!("{batch} --memory {memory}"));
    assert_eq!(chosen["batch"]["micro_batch"], 1);
    assert_eq!(chosen["batch"]["automatic"], true);
    sandbox.train("run", &format!("{batch} --device cpu --memory {memory}")).succeeds();
    let stored = String::from_utf8(sandbox.read("run/config.toml")).unwrap();
    assert!(stored.contains("micro_batch = 1\n"), "{stored}");
    sandbox.train("run", &format!("{batch} --resume --set train.micro_batch=2")).succeeds();

    let fixed = format!("{batch} --set train.micro_batch=2 --device cpu --memory {memory}");
    let words = ["2 sequences", "the largest train.micro_batch that fits is 1"];
    sandbox.refuses(sandbox.training("new", &fixed), &words);
}

#[test]
fn files_of_settings() {
    let sandbox = Sandbox::with_corpus();
    let file = |text: &[u8], words: &[&str]| {
        sandbox.write("mine.toml", text);
        sandbox.refuses(sandbox.training("new", "--config mine.toml"), words);
        assert!(!sandbox.path("new").exists());
    };
    let words = ["mine.toml:3", "`model.dmi`", "did you mean `model.dim`"];
    file(b"[model]\ndim = 16\ndmi = 3\n", &words);
    file(b"[model]\ndim = \"wide\"\n", &["mine.toml:2", "`model.dim = \"wide\"`", "whole number"]);
    file(b"[model]\nheads = 3\n", &["model.dim", "preset tiny", "model.heads = 6"]);
    file(b"[model\n", &["mine.toml:1", "not valid TOML"]);
    file(b"\xff\xfe", &["mine.toml", "UTF-8"]);
}
