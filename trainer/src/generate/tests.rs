use ltm_autograd::Segment;
use ltm_engine::Ops;
use ltm_engine::cpu::Cpu;
use ltm_engine::ops::Normal;

use super::*;
use crate::Error;
use crate::posterior::inference_settings;

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

/// Weights far from their initial values, so that every part of the decoder matters.
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
            mean: 0.05,
            std: 0.3,
        })
        .unwrap();
    parameters
}

fn tokens(count: usize) -> Vec<i32> {
    (0..count).map(|i| (i * i * 7 + i * 3) as i32 % 50).collect()
}

fn request<'a>(prompt: &'a [i32], stop: &'a AtomicBool) -> Request<'a> {
    let sampling = Sampling { max_tokens: 30, ..Sampling::default() };
    Request { prompt, latents: Latents::Prior, sampling, sample: 0, stop }
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

/// `-log softmax(logits)[target]`.
fn nll(logits: &[f32], target: i32) -> f64 {
    let sum: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
    sum.ln() - f64::from(logits[target as usize])
}

#[test]
fn one_token_at_a_time_equals_the_whole_sequence() {
    for (latent_rope, latents) in [(true, true), (false, true), (true, false)] {
        let (mut device, mut config) = (Cpu::new(1).unwrap(), config());
        config.model.latent_rope = latent_rope;
        if !latents {
            (config.model.latents, config.fast.steps) = (0, 0);
        }
        let parameters = parameters(&mut device, &config);
        let shape = BatchShape { batch: 1, seq: LENGTH };
        let plan = PassPlan::record(&config, shape, Purpose::Inference).unwrap();
        let mut workspace =
            Workspace::new(&mut device, &config.model, shape, (config.storage(), false), 0)
                .unwrap();
        let passes = plan.allocate(&mut device, &parameters, &workspace).unwrap();
        let ids = tokens(LENGTH + 1);
        workspace.load(&mut device, &ids[..LENGTH], &ids[1..]).unwrap();
        let draw = Draw { seed: 3, iteration: 0, first_sample: 0, site_offset: 0 };
        draw_prior(&mut device, &workspace, draw).unwrap();
        passes.prefix.run(Segment::Forward, &mut device).unwrap();
        passes.score.run(Segment::All, &mut device).unwrap();
        let expected: Vec<f32> = device.read(&workspace.token_nll).unwrap();

        let mut decoder = Decoder::new(&mut device, &config.model, &parameters).unwrap();
        // The second text finds the caches full of the first.
        for _ in 0..2 {
            decoder.start(&mut device, &workspace.z).unwrap();
            for (position, expected) in expected.iter().enumerate() {
                assert_eq!(decoder.position(), position);
                decoder.push(&mut device, ids[position]).unwrap();
                let logits = decoder.logits(&mut device, 50).unwrap();
                let logits: Vec<f32> = device.read(&logits).unwrap();
                let found = nll(&logits, ids[position + 1]);
                let error = (found - f64::from(*expected)).abs();
                assert!(error < 1e-4, "position {position}: {found} against {expected}");
            }
        }
        // The figures are not alike by being flat.
        let spread = expected.iter().fold(0_f32, |a, &b| a.max((b - expected[0]).abs()));
        assert!(spread > 1.0, "{expected:?}");
    }
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
fn greedy_text_is_the_most_probable_continuation() {
    let (mut device, config, mut generator) = setup();
    let (prompt, stop) = (tokens(4), AtomicBool::new(false));
    let mut request = request(&prompt, &stop);
    request.sampling.temperature = 0.0;
    let greedy = write(&mut device, &mut generator, &request);
    request.sampling.temperature = 1.0;
    request.sampling.top_k = 1;
    assert_eq!(write(&mut device, &mut generator, &request), greedy);

    let mut decoder = Decoder::new(&mut device, &config.model, &generator.weights).unwrap();
    decoder.start(&mut device, &generator.workspace.z).unwrap();
    for &token in &prompt {
        decoder.push(&mut device, token).unwrap();
    }
    for &token in &greedy.tokens {
        let logits = decoder.logits(&mut device, 50).unwrap();
        let logits: Vec<f32> = device.read(&logits).unwrap();
        assert!(logits.iter().all(|&l| l <= logits[token as usize]));
        decoder.push(&mut device, token).unwrap();
    }
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
    bad.sampling.vocab = Some(51);
    refused(&bad, "vocab = 51; expected 1 to model.vocab_size = 50");
}
