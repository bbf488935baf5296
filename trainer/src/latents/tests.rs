use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ltm_engine::DeviceExt;
use ltm_engine::cpu::Cpu;
use ltm_tools::tokenizer::{Tokenizer, TokenizerKind};
use tempfile::TempDir;

use super::*;
use crate::config::{Config, Method, Noise};
use crate::data::Split;
use crate::evaluate::{Evaluator, Options, Sequences, evaluate};
use crate::model::{BatchShape, Parameters};
use crate::{Error, Result};

mod files;

const LENGTH: usize = 32;
static GO: AtomicBool = AtomicBool::new(false);

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    let model = &mut config.model;
    (model.dim, model.layers, model.heads) = (16, 2, 2);
    (model.vocab_size, model.latents) = (256, 4);
    (model.max_seq_len, model.window) = (LENGTH, 5);
    config.fast.steps = 4;
    config.posterior.logvar_mean = -1.0;
    config
}

/// Weights beyond their small initial values, so that z matters.
pub(crate) fn parameters(device: &mut Cpu, config: &Config) -> Parameters {
    let parameters = Parameters::zeroed(device, &config.model, (config.storage(), false)).unwrap();
    parameters.initialise(device, &config.model, 1).unwrap();
    let mut values: Vec<f32> = device.read(&parameters.values).unwrap();
    values.iter_mut().for_each(|value| *value *= 8.0);
    device.upload(&parameters.values, &values).unwrap();
    parameters
}

fn tokenizer() -> Tokenizer {
    Tokenizer::new(TokenizerKind::Bytes).unwrap()
}

pub(crate) fn text(words: &str) -> Text {
    Text::whole(&tokenizer(), words, words, LENGTH).unwrap()
}

pub(crate) fn some_texts() -> Vec<Text> {
    let words =
        ["a river", "morning rain falls on the bridge", "birds", "sing", "under it all, slow"];
    words.map(text).to_vec()
}

fn header(config: &Config) -> Header {
    Header {
        model: "0123456789abcdef".repeat(4),
        iteration: 7,
        tokenizer: "bytes".to_owned(),
        fast_steps: config.fast.steps as u64,
        latents: config.model.latents,
        dim: config.model.dim,
        complete: true,
    }
}

/// A model, and a place for files.
struct Bench {
    device: Cpu,
    config: Config,
    encoder: Encoder,
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let (mut device, config) = (Cpu::new(1).unwrap(), config());
        let parameters = parameters(&mut device, &config);
        let encoder = Encoder::new(&config, &parameters, None).unwrap();
        Self { device, config, encoder, dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn encode(
        &mut self,
        name: &str,
        texts: Vec<Text>,
        batch: usize,
        (stop, progress): (&AtomicBool, &dyn Fn(u64)),
    ) -> Result<Written> {
        let writer = Writer::create(&self.path(name), header(&self.config))?;
        let options = EncodeOptions { batch, stop, progress };
        encode(&mut self.device, &mut self.encoder, &mut Texts::given(texts), writer, &options)
    }

    fn file(&mut self, name: &str, texts: Vec<Text>, batch: usize) -> LatentsFile {
        self.encode(name, texts, batch, (&GO, &|_| {})).unwrap();
        LatentsFile::open(&self.path(name)).unwrap()
    }
}

#[test]
fn the_latents_of_a_text_depend_on_itself_alone() {
    let mut bench = Bench::new();
    let all = some_texts();
    let file = bench.file("all", all.clone(), 1);
    bench.file("again", all.clone(), 1);
    let read = |name: &str| std::fs::read(bench.dir.path().join(name)).unwrap();
    assert!(read("all") == read("again"));
    // In reverse, and each alone.
    let back = bench.file("back", all.iter().rev().cloned().collect(), 1);
    for (place, text) in all.iter().enumerate() {
        let expected = file.posterior(place as u64).unwrap();
        let mirrored = back.posterior((all.len() - 1 - place) as u64).unwrap();
        assert_eq!(mirrored, expected);
        let alone = bench.file("alone", vec![text.clone()], 1);
        assert_eq!(alone.posterior(0).unwrap(), expected);
        assert_eq!(alone.entries()[0].nll, file.entries()[place].nll);
    }
    let others = (file.posterior(2).unwrap(), file.posterior(3).unwrap());
    assert_ne!(others.0, others.1);
}

#[test]
fn texts_at_once_differ_by_rounding_at_most() {
    let mut bench = Bench::new();
    let alone = bench.file("alone", some_texts(), 1);
    for batch in [2, 3, 8] {
        let together = bench.file("together", some_texts(), batch);
        for place in 0..5 {
            let (a, b) = (alone.posterior(place).unwrap(), together.posterior(place).unwrap());
            let pairs = a.mu.iter().zip(&b.mu).chain(a.logvar.iter().zip(&b.logvar));
            let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-3, "text {place} of a batch of {batch}: {worst}");
            let (a, b) = (&alone.entries()[place as usize], &together.entries()[place as usize]);
            assert!((a.nll - b.nll).abs() < 1e-2 && (a.kl - b.kl).abs() < 1e-2);
            assert_eq!((&a.source, a.text), (&b.source, b.text));
        }
    }
}

/// A text as the only window of an evaluation.
struct Window(Text);

impl Sequences for Window {
    fn read(&self, _: &[u64], tokens: &mut Vec<i32>, targets: &mut Vec<i32>) -> Result<()> {
        *tokens = self.0.ids[..self.0.tokens()].to_vec();
        *targets = self.0.ids[1..].to_vec();
        Ok(())
    }
}

/// An evaluation has no padding: what it finds of the first window is what is found here.
#[test]
fn padding_changes_nothing() {
    let mut bench = Bench::new();
    for (words, off) in [("morning rain falls on the bridge", 0.0), ("under it all, slow", 1e-3)] {
        let text = text(words);
        let shape = BatchShape { batch: 1, seq: text.tokens() };
        let (device, config) = (&mut bench.device, &bench.config);
        let mut evaluator = Evaluator::new(device, config, bench.encoder.weights(), shape).unwrap();
        let options = Options { fast_steps: None, stop: &GO, progress: &|_| {} };
        let on = evaluator.on(device);
        let found = evaluate(on, config, &Window(text.clone()), &[0], &options).unwrap();
        let expected = &found.sequences[0];
        let encoded = bench.encoder.encode(&mut bench.device, &[&text], &GO).unwrap();
        let (nll, kl) = (encoded[0].nll, encoded[0].kl);
        assert!((nll - expected.nll).abs() <= off, "{nll} against {expected:?}");
        assert!((kl - expected.kl).abs() <= off, "{kl} against {expected:?}");
    }
}

#[test]
fn more_fast_steps_fit_better() {
    let mut bench = Bench::new();
    let parameters = bench.encoder.weights().frozen();
    let text = text("morning rain falls on the bridge");
    let mut bound = |steps| {
        let mut encoder = Encoder::new(&bench.config, &parameters, Some(steps)).unwrap();
        assert_eq!(encoder.fast_steps(), steps);
        let encoded = encoder.encode(&mut bench.device, &[&text], &GO).unwrap();
        encoded[0].nll + encoded[0].kl
    };
    let (start, some, more) = (bound(0), bound(4), bound(16));
    assert!(start > some && some > more, "{start} {some} {more}");
}

#[test]
fn stopped_it_keeps_the_first_texts_and_says_so() {
    let mut bench = Bench::new();
    // Of one length, so that they are done in their order.
    let texts: Vec<Text> = (0..5).map(|i| text(&format!("text {i}"))).collect();
    let whole = bench.file("whole", texts.clone(), 1);
    let stop = AtomicBool::new(false);
    let progress = |done| stop.store(done == 3, Ordering::Relaxed);
    let written = bench.encode("part", texts.clone(), 1, (&stop, &progress)).unwrap();
    assert_eq!((written.texts, written.complete), (3, false));
    let part = LatentsFile::open(&bench.path("part")).unwrap();
    assert!(!part.header().complete && whole.header().complete);
    assert_eq!(part.entries(), &whole.entries()[..3]);
    assert_eq!(part.posterior(2).unwrap(), whole.posterior(2).unwrap());

    stop.store(true, Ordering::Relaxed);
    let nothing = bench.encode("part", texts, 1, (&stop, &|_| {}));
    assert!(matches!(nothing, Err(Error::Interrupted)));
    assert_eq!(LatentsFile::open(&bench.path("part")).unwrap().entries().len(), 3);
    assert_eq!(std::fs::read_dir(bench.dir.path()).unwrap().count(), 2);
}

/// Noise is that of the first sample for every text.
#[test]
fn methods_that_draw_in_each_step_do_not_depend_on_the_batch() {
    let mut bench = Bench::new();
    let parameters = bench.encoder.weights().frozen();
    for point in [false, true] {
        let mut config = bench.config.clone();
        match point {
            true => config.fast.method = Method::Langevin,
            false => config.posterior.noise = Noise::Fresh,
        }
        bench.encoder = Encoder::new(&config, &parameters, None).unwrap();
        let alone = bench.file("alone", some_texts(), 1);
        let together = bench.file("together", some_texts(), 8);
        let read = |name: &str| std::fs::read(bench.dir.path().join(name)).unwrap();
        assert!(read("alone") == read("together"));
        let logvar = alone.posterior(0).unwrap().logvar;
        assert_eq!(logvar.iter().all(|&logvar| logvar == -60.0), point);
        assert_ne!(together.posterior(1).unwrap().mu, together.posterior(2).unwrap().mu);
    }
}

#[test]
fn a_model_without_latents_has_none_to_encode() {
    let mut device = Cpu::new(1).unwrap();
    let mut config = config();
    let parameters = parameters(&mut device, &config);
    config.model.latents = 0;
    let error = Encoder::new(&config, &parameters, None).err().unwrap();
    assert!(error.to_string().contains("model.latents = 0"), "{error}");
}

#[test]
fn numbers_that_are_none_name_the_text() {
    let mut bench = Bench::new();
    let values = vec![f32::NAN; bench.encoder.weights().values.len()];
    bench.device.upload(&bench.encoder.weights().values, &values).unwrap();
    let error = bench.encode("bad", some_texts(), 1, (&GO, &|_| {})).unwrap_err().to_string();
    assert!(error.contains("is NaN") && error.contains("diverged"), "{error}");
    assert!(some_texts().iter().any(|text| error.starts_with(&text.source)), "{error}");
    assert_eq!(std::fs::read_dir(bench.dir.path()).unwrap().count(), 0);
}

fn read(path: &std::path::Path, limit: Option<usize>) -> Result<Vec<Text>> {
    let selection = Selection { split: Split::Val, field: "text", limit };
    Texts::open(path, tokenizer(), &config(), selection)?.collect()
}

#[test]
fn documents_are_cut_so_that_every_token_is_predicted_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.jsonl");
    let long: String = ('a'..='z').cycle().take(70).collect();
    let exact: String = ('a'..='z').cycle().take(LENGTH).collect();
    let lines = [long.as_str(), "", "é", &exact]
        .map(|text| serde_json::json!({ "text": text }).to_string());
    std::fs::write(&path, lines.join("\n")).unwrap();
    let texts = read(&path, None).unwrap();
    let found: Vec<_> = texts.iter().map(|t| (t.number, t.piece, t.tokens(), t.bytes)).collect();
    assert_eq!(found, [(0, 0, 32, 32), (1, 1, 32, 32), (2, 2, 6, 6), (3, 0, 2, 2), (4, 0, 32, 32)]);
    let predicted: Vec<u8> =
        texts[..3].iter().flat_map(|t| &t.ids[1..]).map(|&id| id as u8).collect();
    assert_eq!(predicted, long.as_bytes());
    assert_eq!((texts[0].ids[0], texts[1].ids[0]), (0, i32::from(long.as_bytes()[31])));
    assert!(texts[0].source.ends_with("some.jsonl line 1"), "{}", texts[0].source);
    assert!(texts[3].source.ends_with("some.jsonl line 3"), "{}", texts[3].source);
    assert_eq!(texts[4], Text { number: 4, source: texts[4].source.clone(), ..text(&exact) });
    assert_eq!(read(&path, Some(2)).unwrap(), texts[..2]);

    std::fs::write(&path, "{\"text\": \"fine\"}\n{\"text\": 3}\n").unwrap();
    let error = read(&path, None).unwrap_err().to_string();
    assert!(error.contains("some.jsonl line 2"), "{error}");
    let error = read(&path, Some(0)).unwrap_err().to_string();
    assert!(error.contains("--limit is 0; expected at least 1"), "{error}");
}

#[test]
fn texts_given_as_words_fit_a_sequence() {
    let refuses = |words: &str, expected: &str| {
        let error = Text::whole(&tokenizer(), "--mix", words, LENGTH).unwrap_err().to_string();
        assert!(error.starts_with("--mix") && error.contains(expected), "{error}");
    };
    refuses("", "empty text");
    refuses(&"x".repeat(LENGTH + 1), "33 tokens; expected at most 32");
}
