//! Inference of z from the text as it grows, and z of the caller.

use super::*;

#[test]
fn latents_of_the_caller_are_those_of_the_posterior() {
    let (mut device, config, mut generator) = setup();
    let (prompt, stop) = (tokens(9), AtomicBool::new(false));
    let fast = inference_settings(&config, None);
    let mut request = Request { sample: 4, ..request(&prompt, &stop) };
    request.latents = Latents::Posterior(fast.clone());
    let expected = write(&mut device, &mut generator, &request);
    let (thought, z) = generator.infer(&mut device, &prompt, &fast, (1, 4), &stop).unwrap();
    assert_eq!(Some(&thought), expected.thought.as_ref());
    request.latents = Latents::Given(z.into());
    let text = write(&mut device, &mut generator, &request);
    assert_eq!((text.tokens, text.thought), (expected.tokens, None));
}

/// A refit is a new start from the last tokens, which then stand at the first positions.
#[test]
fn a_refitted_text_goes_on_as_a_new_one_from_its_last_tokens() {
    let (mut device, config, mut generator) = setup();
    let (prompt, stop) = (tokens(9), AtomicBool::new(false));
    let fast = inference_settings(&config, None);
    for (last, seen) in [(16, 16), (24, 19)] {
        let mut request = request(&prompt, &stop);
        (request.sampling.temperature, request.sampling.max_tokens) = (0.0, 20);
        request.latents = Latents::Posterior(fast.clone());
        let plain = write(&mut device, &mut generator, &request);
        request.refit = Some(Refit { every: 10, last, fast: fast.clone() });
        let text = write(&mut device, &mut generator, &request);
        assert_eq!((text.refits.len(), text.refits[0].tokens), (1, seen - 1));
        assert_eq!(text.thought, plain.thought);
        assert_eq!(text.tokens[..10], plain.tokens[..10]);

        let all: Vec<i32> = prompt.iter().chain(&text.tokens[..10]).copied().collect();
        let span = &all[19 - seen..];
        let draw = request.draw(sites::VALIDATION_OFFSET, 1);
        let (thought, z) = generator.fit(&mut device, span, &fast, draw, &stop).unwrap();
        assert_eq!(thought, text.refits[0]);
        let z: Vec<f32> = device.read(&z).unwrap();
        let mut rest = Request { prompt: span, refit: None, ..request.clone() };
        rest.latents = Latents::Given(z.into());
        rest.sampling.max_tokens = 10;
        let rest = write(&mut device, &mut generator, &rest);
        assert_eq!(rest.tokens, text.tokens[10..]);
        assert_ne!(text.tokens, plain.tokens, "a new z changes the text");
    }
}

#[test]
fn a_refit_may_follow_the_prior_and_may_be_interrupted() {
    let (mut device, config, mut generator) = setup();
    let (prompt, stop) = (tokens(1), AtomicBool::new(false));
    let fast = inference_settings(&config, None);
    let mut request = request(&prompt, &stop);
    request.refit = Some(Refit { every: 4, last: 24, fast });
    let text = write(&mut device, &mut generator, &request);
    let seen: Vec<_> = text.refits.iter().map(|thought| thought.tokens).collect();
    assert_eq!(seen, [4, 8, 12, 16, 20, 23, 23]);
    assert_eq!((text.tokens.len(), text.thought), (30, None));
    let mut count = 0;
    let stopped = generator
        .generate(&mut device, &request, &mut |_| {
            count += 1;
            stop.store(count == 8, Ordering::Relaxed);
        })
        .unwrap();
    assert_eq!((stopped.end, stopped.refits.len()), (End::Stopped, 1));
    assert_eq!(stopped.tokens, text.tokens[..8]);
}
