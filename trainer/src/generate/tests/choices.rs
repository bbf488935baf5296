//! The rules of choosing a token.

use super::*;

/// The host and the operation of the device pick the same token.
#[test]
fn the_host_draws_what_the_device_draws() {
    let (mut device, _, mut generator) = setup();
    let (prompt, stop) = (tokens(3), AtomicBool::new(false));
    for (temperature, top_k, top_p) in
        [(0.0, 0, 1.0), (1.0, 0, 1.0), (4.0, 0, 0.7), (3.0, 9, 1.0), (2.0, 20, 0.8)]
    {
        for sample in 0..5 {
            let mut request = Request { sample, ..request(&prompt, &stop) };
            let plain = Sampling { max_tokens: 40, ..Sampling::default() };
            request.sampling = Sampling { temperature, top_k, top_p, ..plain };
            let on_device = write(&mut device, &mut generator, &request);
            assert!(on_device.drawn.is_empty());
            request.figures = true;
            let on_host = write(&mut device, &mut generator, &request);
            assert_eq!((on_host.tokens, on_host.drawn.len()), (on_device.tokens, 40));
        }
    }
}

#[test]
fn a_penalty_keeps_from_repeating() {
    let (mut device, config, mut generator) = setup();
    let (prompt, stop) = (tokens(5), AtomicBool::new(false));
    let mut request = request(&prompt, &stop);
    request.sampling.temperature = 0.0;
    let plain = write(&mut device, &mut generator, &request).tokens;
    request.sampling.repetition_penalty = 1e9;
    let text = write(&mut device, &mut generator, &request).tokens;
    let distinct = |text: &[i32]| text.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert!(distinct(&text) > distinct(&plain) + 5, "{text:?} {plain:?}");

    // Token for token by the definition.
    request.sampling.repetition_penalty = 1.8;
    let text = write(&mut device, &mut generator, &request).tokens;
    let mut decoder = Decoder::new(&mut device, &config.model, &generator.weights, 1).unwrap();
    decoder.start(&mut device, 0, &generator.workspace.z).unwrap();
    decoder.feed(&mut device, 0, &prompt[..4]).unwrap();
    let mut seen = prompt.clone();
    for &token in &text {
        decoder.step(&mut device, &[(0, seen[seen.len() - 1])]).unwrap();
        let logits = decoder.logits(&mut device, 1, 50).unwrap();
        let mut logits: Vec<f32> = device.read(&logits).unwrap();
        for (id, logit) in logits.iter_mut().enumerate() {
            if seen.contains(&(id as i32)) {
                *logit = if *logit > 0.0 { *logit / 1.8 } else { *logit * 1.8 };
            }
        }
        assert!(logits.iter().all(|&logit| logit <= logits[token as usize]));
        seen.push(token);
    }
}

#[test]
fn min_p_leaves_out_what_is_improbable() {
    let (mut device, _, mut generator) = setup();
    let (prompt, stop) = (tokens(3), AtomicBool::new(false));
    let mut request = request(&prompt, &stop);
    request.figures = true;
    request.sampling.temperature = 3.0;
    let free = write(&mut device, &mut generator, &request);
    request.sampling.min_p = 1.0;
    let only_the_first = write(&mut device, &mut generator, &request).tokens;
    request.sampling.min_p = 0.0;
    request.sampling.temperature = 0.0;
    assert_eq!(write(&mut device, &mut generator, &request).tokens, only_the_first);
    assert_ne!(free.tokens, only_the_first);
}

/// A model that has diverged is reported, on the host as on the device.
#[test]
fn logits_that_are_not_finite_are_refused() {
    let (mut device, config) = (Cpu::new(1).unwrap(), config());
    let parameters = parameters(&mut device, &config);
    let mut generator = Generator::new(&mut device, &config, &parameters).unwrap();
    parameters.set(&mut device, 700..701, &[f32::NAN]).unwrap();
    let (prompt, stop) = (tokens(3), AtomicBool::new(false));
    for figures in [false, true] {
        let request = Request { figures, ..request(&prompt, &stop) };
        let error = generator.generate(&mut device, &request, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("NaN"), "{error}");
    }
}
