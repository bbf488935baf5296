use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ltm_tools::tokenizer::{TokenizerInfo, TokenizerKind};

use super::*;
use crate::config::Preset;
use crate::metrics::Metrics;
use crate::trainer::NEVER;

/// A model of a few thousand weights on nine windows, two iterations an epoch and a bit.
const MICRO: [&str; 14] = [
    "model.dim=16",
    "model.heads=2",
    "model.max_seq_len=12",
    "model.window=5",
    "model.latents=4",
    "model.ffn_dim=32",
    "fast.steps=2",
    "slow.total=8",
    "train.batch=4",
    "train.micro_batch=2",
    "train.validate_every=3",
    "train.validation_sequences=2",
    "train.sample_every=0",
    "train.checkpoint_every=2",
];

fn corpus() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (split, tokens) in [("train", 9 * 12 + 1), ("val", 2 * 12 + 1)] {
        let mut bytes = [20240520, 1, tokens].map(i32::to_le_bytes).concat();
        bytes.resize(1024, 0);
        bytes.extend((0..tokens).flat_map(|i| ((i * i % 83 + 32) as u16).to_le_bytes()));
        fs::write(dir.path().join(format!("{split}_000000.bin")), bytes).unwrap();
    }
    TokenizerInfo::from(TokenizerKind::Bytes).write(dir.path()).unwrap();
    dir
}

fn options(root: &Path, run: &str, settings: &[&str], iterations: u64) -> RunOptions {
    let layers = Layers::preset(Preset::Tiny).unwrap();
    let layers = MICRO.iter().chain(settings).fold(layers, |layers, s| layers.set(s).unwrap());
    let layers = layers.set(&format!("train.iterations={iterations}")).unwrap();
    RunOptions {
        data: root.to_owned(),
        out: root.join(run),
        config: layers.finish(None).unwrap(),
        resume: root.join(run).exists(),
        device: DeviceKind::Cpu,
        threads: 1,
        memory: None,
    }
}

/// Dies after an iteration, before anything of it can be saved.
struct Dies(u64);

impl Observer for Dies {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Iteration { metrics, .. } = event {
            assert!(metrics.iteration != self.0, "as a process that is killed");
        }
    }
}

/// A run that is cut off in the middle, by its end or by a crash after its second checkpoint, goes
/// on as if nothing had been.
#[test]
fn every_variation_resumes_bit_for_bit() {
    let data = corpus();
    let root = data.path();
    for (name, settings) in [
        ("langevin", &["fast.method=langevin"][..]),
        ("sgd", &["fast.method=sgd", "fast.lr=0.01", "posterior.kl_warmup=5"]),
        ("natural", &["fast.method=natural", "fast.lr=0.1", "posterior.noise=fresh"]),
        ("learned", &["model.prior=learned", "posterior.free_bits=0.5"]),
        ("warm", &["posterior.init=warm"]),
        ("chains", &["posterior.init=warm", "fast.method=langevin", "model.prior=learned"]),
    ] {
        let go = |run: &str, iterations: u64| {
            train(&options(root, run, settings, iterations), &mut Silent, &NEVER).unwrap()
        };
        let (straight, cut, killed) =
            ["straight", "cut", "killed"].map(|end| format!("{name}-{end}")).into();
        go(&straight, 8);
        go(&cut, 3);
        go(&cut, 8);
        let dies = || train(&options(root, &killed, settings, 8), &mut Dies(6), &NEVER);
        assert!(catch_unwind(AssertUnwindSafe(dies)).is_err());
        go(&killed, 8);
        for file in [
            "metrics.jsonl",
            "checkpoints/iter_00000008/model.safetensors",
            "checkpoints/iter_00000008/optimizer.safetensors",
        ] {
            let read = |run: &str| fs::read(root.join(run).join(file)).unwrap();
            // The end of a run is validated too, and the cut one ended once more.
            if file != "metrics.jsonl" {
                assert!(read(&straight) == read(&cut), "{name}: {file} after an end");
            }
            assert!(read(&straight) == read(&killed), "{name}: {file} after a crash");
        }
    }
}

#[test]
fn a_warm_run_differs_from_a_cold_one_from_the_second_visit_on() {
    let data = corpus();
    let go = |run: &str, settings: &[&str]| {
        train(&options(data.path(), run, settings, 4), &mut Silent, &NEVER).unwrap();
        let path = data.path().join(run).join("metrics.jsonl");
        crate::metrics::read::<Metrics>(&path).unwrap()
    };
    let (cold, warm) = (go("cold", &[]), go("warm", &["posterior.init=warm"]));
    assert!(!data.path().join("cold/posteriors.bin").exists());
    assert_eq!(cold[..2], warm[..2], "every window for the first time");
    assert!((2..4).all(|i| cold[i].fast_kl[0] != warm[i].fast_kl[0]));
}

/// A run that was set back to an older checkpoint would not be the run that it was.
#[test]
fn posteriors_of_a_later_checkpoint_are_refused() {
    let data = corpus();
    let root = data.path();
    let settings = ["posterior.init=warm"];
    train(&options(root, "run", &settings, 4), &mut Silent, &NEVER).unwrap();
    fs::remove_dir_all(root.join("run/checkpoints/iter_00000004")).unwrap();
    let error = train(&options(root, "run", &settings, 6), &mut Silent, &NEVER).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("posteriors.bin") && error.contains("after 4 iterations"), "{error}");
}

#[test]
fn a_point_has_no_kl_in_the_metrics() {
    let data = corpus();
    let settings = ["fast.method=langevin"];
    train(&options(data.path(), "run", &settings, 3), &mut Silent, &NEVER).unwrap();
    let path = data.path().join("run/metrics.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("\"kl\"") && !text.contains("bound\"") && !text.contains("null"));
    let last = crate::metrics::read::<Metrics>(&path).unwrap().pop().unwrap();
    let point = last.point.as_ref().unwrap();
    assert!((last.nll + point.neg_log_prior - point.neg_log_joint).abs() < 1e-12);
    assert_eq!(point.fast_neg_log_prior.len(), 2);
    assert!(last.in_words().contains("-log p(z)"));
    let validation = last.validation.unwrap();
    assert!(validation.point.is_some() && validation.val_kl.is_nan());
    let state = fs::read_to_string(data.path().join("run/checkpoints/iter_00000003/state.json"));
    assert!(state.unwrap().contains("\"bound\":"));
}
