mod causal;
mod exact;
mod oracle;

use std::cell::Cell;
use std::sync::atomic::Ordering;

use ltm_engine::DeviceExt;
use ltm_engine::cpu::Cpu;

use super::*;
use crate::{Error, Trainer};

const LENGTH: usize = 12;
const VOCAB: i32 = 30;

/// Windows whose tokens follow from their number; nothing to read.
#[derive(Default)]
struct Numbered {
    /// Targets to ignore at the end of each window.
    ignored: usize,
    /// First token that differs in `changed` texts.
    changed_from: Option<usize>,
    /// A place, and the token there instead of what would follow.
    replaced: Option<(usize, i32)>,
    /// Answers with a token too many.
    too_long: bool,
}

impl Sequences for Numbered {
    fn read(&self, windows: &[u64], tokens: &mut Vec<i32>, targets: &mut Vec<i32>) -> Result<()> {
        tokens.clear();
        targets.clear();
        for &window in windows {
            let text = |place: usize| {
                if let Some((_, token)) = self.replaced.filter(|&(at, _)| at == place) {
                    return token;
                }
                let changed = self.changed_from.is_some_and(|from| place >= from);
                (window as usize * 7 + place * place * 3 + usize::from(changed)) as i32 % VOCAB
            };
            tokens.extend((0..LENGTH).map(text));
            targets.extend((1..=LENGTH).map(|place| match place > LENGTH - self.ignored {
                true => -1,
                false => text(place),
            }));
        }
        if self.too_long {
            tokens.push(0);
        }
        Ok(())
    }
}

fn config() -> Config {
    let mut config = Config::default();
    let model = &mut config.model;
    (model.dim, model.layers, model.heads) = (16, 2, 2);
    (model.vocab_size, model.latents) = (VOCAB as usize, 4);
    (model.max_seq_len, model.window) = (LENGTH, 5);
    config.fast.steps = 4;
    config.posterior.logvar_mean = -1.0;
    config.train.batch = 3;
    config
}

static GO: AtomicBool = AtomicBool::new(false);

fn options() -> Options<'static> {
    Options { fast_steps: None, stop: &GO, progress: &|_| {} }
}

fn trainer() -> Trainer {
    let config = config();
    let mut trainer = Trainer::new(Box::new(Cpu::new(1).unwrap()), config).unwrap();
    let model = &trainer.config.model;
    trainer.parameters.initialise(trainer.device.as_mut(), model, 1).unwrap();
    // Beyond the small initial weights, so that z matters.
    let mut values: Vec<f32> = trainer.device.read(&trainer.parameters.values).unwrap();
    values.iter_mut().for_each(|value| *value *= 8.0);
    trainer.device.upload(&trainer.parameters.values, &values).unwrap();
    trainer
}

fn alone(
    trainer: &mut Trainer,
    batch: usize,
    source: &dyn Sequences,
    windows: &[u64],
    options: &Options<'_>,
) -> Result<Evaluation> {
    let shape = BatchShape { batch, seq: LENGTH };
    let Trainer { device, config, parameters, .. } = trainer;
    let mut evaluator = Evaluator::new(device.as_mut(), config, parameters, shape)?;
    let on = evaluator.on(device.as_mut());
    evaluate(on, config, source, windows, options)
}

fn assert_same(a: &Evaluation, b: &Evaluation) {
    assert_eq!(a.sequences.len(), b.sequences.len());
    for (a, b) in a.sequences.iter().zip(&b.sequences) {
        assert_eq!((a.window, a.tokens), (b.window, b.tokens));
        assert!((a.nll - b.nll).abs() < 1e-3, "{a:?} against {b:?}");
        assert!((a.kl - b.kl).abs() < 1e-3, "{a:?} against {b:?}");
    }
}

#[test]
fn neither_the_batch_nor_the_owner_of_the_memory_matters() {
    let mut trainer = trainer();
    let windows = [4, 9, 2, 7, 11];
    let source = Numbered::default();
    let expected = alone(&mut trainer, 5, &source, &windows, &options()).unwrap();
    for batch in [1, 2, 8] {
        let found = alone(&mut trainer, batch, &source, &windows, &options()).unwrap();
        assert_same(&found, &expected);
    }

    let training = trainer.parameters.training.as_ref().unwrap();
    let gradients = training.gradients.clone();
    trainer.device.upload(&gradients, &vec![0.5_f32; gradients.len()]).unwrap();
    let before: Vec<f32> = trainer.device.read(&trainer.parameters.values).unwrap();
    let done = Cell::new(Vec::new());
    let note = |count| {
        let mut seen = done.take();
        seen.push(count);
        done.set(seen);
    };
    let options = Options { progress: &note, ..options() };
    let found = validate(&mut trainer, &source, &windows, &options).unwrap();
    assert_same(&found, &expected);
    assert_eq!(done.take(), [3, 5]);
    let gradients: Vec<f32> = trainer.device.read(&gradients).unwrap();
    assert!(gradients.iter().all(|&g| g == 0.5));
    let after: Vec<f32> = trainer.device.read(&trainer.parameters.values).unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_sequence_has_the_random_numbers_of_its_place() {
    let mut trainer = trainer();
    let source = Numbered::default();
    let twice = alone(&mut trainer, 2, &source, &[3, 3], &options()).unwrap();
    assert_ne!(twice.sequences[0].kl, twice.sequences[1].kl);
}

#[test]
fn the_curve_runs_from_the_start_to_the_figures() {
    let mut trainer = trainer();
    let (source, windows) = (Numbered::default(), [1, 2, 3]);
    let mut run = |steps| {
        let options = Options { fast_steps: Some(steps), ..options() };
        alone(&mut trainer, 2, &source, &windows, &options).unwrap()
    };
    let (start, inferred) = (run(0), run(6));
    assert_eq!((start.fast_steps, start.curve.nll.len()), (0, 0));
    assert_eq!((inferred.fast_steps, inferred.curve.nll.len()), (6, 6));
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} against {b}");
    close(inferred.curve.nll[0], start.summary.corpus.nll);
    close(inferred.curve.kl[0], start.summary.corpus.kl);
    assert!(inferred.summary.corpus.bound < start.summary.corpus.bound);
}

#[test]
fn ignored_targets_shorten_a_sequence() {
    let mut trainer = trainer();
    let source = Numbered { ignored: 4, ..Numbered::default() };
    let found = alone(&mut trainer, 2, &source, &[1, 2], &options()).unwrap();
    assert!(found.sequences.iter().all(|s| s.tokens == LENGTH - 4));
    let source = Numbered { ignored: LENGTH, ..Numbered::default() };
    let error = alone(&mut trainer, 2, &source, &[1, 2], &options()).unwrap_err();
    assert!(error.to_string().contains("window 1 has no target"));
}

#[test]
fn it_can_be_stopped() {
    let mut trainer = trainer();
    let stop = AtomicBool::new(false);
    let options = Options {
        stop: &stop,
        progress: &|done| {
            assert_eq!(done, 1, "nothing is scored after the stop");
            stop.store(true, Ordering::Relaxed);
        },
        ..options()
    };
    let result = alone(&mut trainer, 1, &Numbered::default(), &[1, 2, 3], &options);
    assert!(matches!(result, Err(Error::Interrupted)));
}

#[test]
fn bad_requests_are_refused() {
    let mut trainer = trainer();
    let mut refused = |source: &Numbered, windows: &[u64], words: &str| {
        let error = alone(&mut trainer, 2, source, windows, &options()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    let source = Numbered::default();
    refused(&source, &[], "at least one window");
    let long = Numbered { too_long: true, ..source };
    refused(&long, &[1, 2], "25 tokens in 2 windows; expected 24, 12 in each");
    let values = vec![f32::NAN; trainer.parameters.values.len()];
    trainer.device.upload(&trainer.parameters.values, &values).unwrap();
    let error = alone(&mut trainer, 2, &Numbered::default(), &[8], &options()).unwrap_err();
    assert!(error.to_string().contains("window 8: the nll is NaN"), "{error}");
}
