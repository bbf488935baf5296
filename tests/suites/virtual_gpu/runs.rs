//! Trainings of a model of two layers, width 64, on bytes of English.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use ltm::config::{Config, Layers, Preset};
use ltm::metrics::{self, Metrics};
use ltm::run::{self, RunOptions, Silent};
use ltm::run_dir::RunPaths;
use ltm_engine::DeviceKind;
use ltm_tools::tokenize::{TokenizeOptions, tokenize};
use ltm_tools::tokenizer::TokenizerKind;
use tempfile::TempDir;

/// Bytes of text.
const TEXT: usize = 100_000;
/// What differs from the preset `tiny`: small enough for a GPU that is none, and learning rates at
/// which twenty iterations show. Two micro-batches, of which one is not a power of two long.
const SETTINGS: [&str; 15] = [
    "model.dim=64",
    "model.layers=2",
    "model.heads=2",
    "model.latents=4",
    "model.max_seq_len=40",
    "model.window=24",
    "model.ffn_dim=96",
    "fast.steps=3",
    "slow.lr=5e-3",
    "slow.warmup=4",
    "slow.total=20",
    "train.batch=2",
    "train.micro_batch=1",
    "train.validate_every=0",
    "train.sample_every=0",
];

/// A directory with shards and runs.
pub struct Place {
    directory: TempDir,
}

/// The text as shards, made once.
fn shards() -> &'static Path {
    static SHARDS: OnceLock<TempDir> = OnceLock::new();
    let directory = SHARDS.get_or_init(|| {
        let directory = TempDir::new().unwrap();
        let text = ltm::english::text().unwrap();
        let file = directory.path().join("text.txt");
        fs::write(&file, &text[..text.floor_char_boundary(TEXT)]).unwrap();
        let options = TokenizeOptions {
            tokenizer: TokenizerKind::Bytes,
            val_docs: 0,
            overwrite: true,
            cancel: Arc::new(AtomicBool::new(false)),
            ..TokenizeOptions::default()
        };
        tokenize(&[file], &directory.path().join("shards"), &options, &mut |_| {}).unwrap();
        directory
    });
    directory.path()
}

/// The model with `settings` changed.
pub fn config(settings: &[&str]) -> Config {
    let layers = Layers::preset(Preset::Tiny).unwrap();
    let all = SETTINGS.iter().chain(settings);
    all.fold(layers, |layers, setting| layers.set(setting).unwrap()).finish(None).unwrap()
}

impl Place {
    /// With no runs.
    pub fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    fn path(&self, run: &str) -> PathBuf {
        self.directory.path().join(run)
    }

    /// Trains for `iterations` in all, from where the run stands, and returns its figures.
    pub fn train(
        &self,
        run: &str,
        device: DeviceKind,
        iterations: u64,
        settings: &[&str],
    ) -> Vec<Metrics> {
        let mut config = config(settings);
        config.train.iterations = iterations;
        let out = self.path(run);
        let resume = out.is_dir();
        let data = shards().join("shards");
        let options = RunOptions { data, out, config, resume, device, threads: 2, memory: None };
        run::train(&options, &mut Silent, &AtomicBool::new(false)).unwrap();
        let metrics = metrics::read(&RunPaths::new(self.path(run)).metrics()).unwrap();
        assert_eq!(metrics.len() as u64, iterations);
        metrics
    }

    /// A second copy of a run.
    pub fn copy(&self, from: &str, to: &str) {
        copy(&self.path(from), &self.path(to));
    }

    /// The weights and moments of a checkpoint.
    pub fn checkpoint(&self, run: &str, iterations: u64) -> [Vec<u8>; 2] {
        let directory = self.path(run).join(format!("checkpoints/iter_{iterations:08}"));
        ["model.safetensors", "optimizer.safetensors"]
            .map(|name| fs::read(directory.join(name)).unwrap())
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// How far the losses of two iterations are apart, relative to the second: the larger distance of
/// nll and bound.
pub fn distance(a: &Metrics, b: &Metrics) -> f64 {
    let off = |a: f64, b: f64| (a / b - 1.0).abs();
    off(a.nll, b.nll).max(off(a.bound, b.bound))
}
