//! Texts of a small model: how they end, what is refused, what they depend on.

mod cached;
mod choices;
mod refits;
mod together;

use std::sync::atomic::Ordering;

use ltm_engine::Ops;
use ltm_engine::cpu::Cpu;
use ltm_engine::ops::Normal;

use super::*;
use crate::posterior::inference_settings;
use crate::{Error, sites};

const LENGTH: usize = 24;

/// Three times as long as its window.
fn config() -> Config {
    let mut config = Config::default();
    let model = &mut config.model;
    (model.dim, model.layers, model.heads) = (32, 2, 2);
    (model.vocab_size, model.latents) = (50, 6);
    (model.max_seq_len, model.window) = (LENGTH, 8);
    config.fast.steps = 3;
    config
}

/// Weights far from their initial values, so that every part of the decoder matters; gains of 1.
fn parameters(device: &mut Cpu, config: &Config) -> Parameters {
    let parameters = Parameters::zeroed(device, &config.model, (config.storage(), false)).unwrap();
    device
        .normal(&Normal {
            out: &parameters.values,
            seed: 5,
            site: sites::WEIGHT_INIT,
            iteration: 0,
            first_sample: 0,
            samples: 1,
            per_sample: parameters.values.len(),
            mean: 0.0,
            std: 0.2,
        })
        .unwrap();
    for gain in parameters.layout.entries().iter().filter(|entry| entry.shape.len() == 1) {
        parameters.set(device, gain.range.clone(), &vec![1.0; gain.range.len()]).unwrap();
    }
    parameters
}

fn tokens(count: usize) -> Vec<i32> {
    (0..count).map(|i| (i * i * 7 + i * 3) as i32 % 50).collect()
}

fn request<'a>(prompt: &'a [i32], stop: &'a AtomicBool) -> Request<'a> {
    let sampling = Sampling { max_tokens: 30, ..Sampling::default() };
    Request {
        prompt,
        latents: Latents::Prior,
        refit: None,
        sampling,
        sample: 0,
        figures: false,
        stop,
    }
}

fn setup() -> (Cpu, Config, Generator) {
    let (mut device, config) = (Cpu::new(1).unwrap(), config());
    let parameters = parameters(&mut device, &config);
    let generator = Generator::new(&mut device, &config, &parameters).unwrap();
    (device, config, generator)
}

fn write(device: &mut Cpu, generator: &mut Generator, request: &Request<'_>) -> Generated {
    let mut emitted = Vec::new();
    let text = generator.generate(device, request, &mut |token| emitted.push(token)).unwrap();
    assert_eq!(text.tokens, emitted);
    text
}

#[test]
fn texts_repeat_themselves_and_differ_between_samples() {
    let (mut device, _, mut generator) = setup();
    let (prompt, stop) = (tokens(3), AtomicBool::new(false));
    let mut request = request(&prompt, &stop);
    let first = write(&mut device, &mut generator, &request);
    assert_eq!((first.tokens.len(), first.end), (30, End::Length));
    assert_eq!(write(&mut device, &mut generator, &request), first);
    request.sample = 1;
    assert_ne!(write(&mut device, &mut generator, &request).tokens, first.tokens);
    (request.sample, request.sampling.seed) = (0, 2);
    assert_ne!(write(&mut device, &mut generator, &request).tokens, first.tokens);
}

#[test]
fn text_ends_at_the_end_token_at_its_length_or_when_stopped() {
    let (mut device, _, mut generator) = setup();
    let (prompt, stop) = (tokens(3), AtomicBool::new(false));
    let mut request = request(&prompt, &stop);
    let whole = write(&mut device, &mut generator, &request).tokens;
    let at = 5;
    request.sampling.end = Some(whole[at]);
    let cut = write(&mut device, &mut generator, &request);
    let first = whole.iter().position(|&token| token == whole[at]).unwrap();
    assert_eq!((&cut.tokens[..], cut.end), (&whole[..first], End::EndOfText));

    request.sampling.end = None;
    request.sampling.max_tokens = 0;
    let none = write(&mut device, &mut generator, &request);
    assert_eq!((none.tokens.len(), none.end), (0, End::Length));

    request.sampling.max_tokens = 30;
    let mut emitted = 0;
    let stopped = generator
        .generate(&mut device, &request, &mut |_| {
            emitted += 1;
            stop.store(emitted == 4, Ordering::Relaxed);
        })
        .unwrap();
    assert_eq!((&stopped.tokens[..], stopped.end), (&whole[..4], End::Stopped));
}

#[test]
fn spare_rows_are_never_drawn() {
    let (mut device, _, mut generator) = setup();
    let (prompt, stop) = (tokens(3), AtomicBool::new(false));
    let mut request = request(&prompt, &stop);
    request.sampling.temperature = 100.0;
    let all = write(&mut device, &mut generator, &request);
    assert!(all.tokens.iter().any(|&token| token >= 10));
    request.sampling.vocab = Some(10);
    let few = write(&mut device, &mut generator, &request);
    assert!(few.tokens.iter().all(|&token| token < 10));
}

#[test]
fn a_prompt_changes_the_thought() {
    let (mut device, config, mut generator) = setup();
    let (prompt, stop) = (tokens(LENGTH), AtomicBool::new(false));
    let mut request = request(&prompt, &stop);
    request.latents = Latents::Posterior(inference_settings(&config, Some(5)));
    let text = write(&mut device, &mut generator, &request);
    assert_eq!(text.tokens.len(), 30, "it may outgrow max_seq_len");
    let thought = text.thought.clone().unwrap();
    assert_eq!(thought.tokens, LENGTH - 1);
    assert_eq!((thought.nll.len(), thought.kl.len()), (5, 5));
    assert!(thought.nll[4] + thought.kl[4] < thought.nll[0] + thought.kl[0]);
    assert_eq!(write(&mut device, &mut generator, &request), text);

    stop.store(true, Ordering::Relaxed);
    let error = generator.generate(&mut device, &request, &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Interrupted));
}

#[test]
fn bad_requests_say_what_is_expected() {
    let (mut device, config, mut generator) = setup();
    let stop = AtomicBool::new(false);
    let long = tokens(LENGTH + 1);
    let posterior = Latents::Posterior(inference_settings(&config, None));
    let mut refused = |request: &Request<'_>, words: &str| {
        let error = generator
            .generate(&mut device, request, &mut |_| panic!("text in spite of an error"))
            .unwrap_err();
        assert!(matches!(error, Error::Generate(_)));
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(&request(&[], &stop), "at least one token");
    refused(&request(&[4, 50], &stop), "token 50 at place 1 of the prompt; expected 0 to 49");
    refused(&request(&[-1], &stop), "token -1 at place 0");
    for (prompt, words) in [(&long[..1], "at least 2 tokens"), (&long, "max_seq_len = 24")] {
        let mut request = request(prompt, &stop);
        request.latents = posterior.clone();
        refused(&request, words);
    }
    let mut bad = request(&long, &stop);
    bad.sampling.temperature = f32::NAN;
    refused(&bad, "temperature = NaN");
    bad.sampling.temperature = 1.0;
    bad.sampling.top_p = 0.0;
    refused(&bad, "top_p = 0; expected above 0, up to 1");
    bad.sampling.top_p = 1.0;
    bad.sampling.min_p = -0.1;
    refused(&bad, "min_p = -0.1; expected 0 to 1");
    bad.sampling.min_p = 0.0;
    bad.sampling.repetition_penalty = 0.0;
    refused(&bad, "repetition_penalty = 0; expected a finite number above 0");
    bad.sampling.repetition_penalty = 1.0;
    let fast = inference_settings(&config, None);
    for (every, last, words) in [
        (0, 24, "refit = 0; expected at least 1"),
        (3, 1, "refit_last = 1; expected 2 to model.max_seq_len = 24"),
        (3, 25, "refit_last = 25"),
    ] {
        bad.refit = Some(Refit { every, last, fast: fast.clone() });
        refused(&bad, words);
    }
    bad.refit = None;
    bad.latents = Latents::Given([0.0; 7].into());
    refused(&bad, "7 numbers of latents; this model has 6 latents of 32 numbers, 192 in all");
    let mut z = [0.0; 192];
    z[5] = f32::INFINITY;
    bad.latents = Latents::Given(z.into());
    refused(&bad, "number 5 of the latents is inf");
    bad.latents = Latents::Prior;
    bad.sampling.vocab = Some(51);
    refused(&bad, "vocab = 51; expected 1 to model.vocab_size = 50");
}
