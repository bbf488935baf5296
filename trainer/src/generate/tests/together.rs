//! Texts that are written together, and what a text does not depend on.

use super::*;
use crate::posterior::inference_settings;

/// Requests that differ in everything.
fn various<'a>(config: &Config, prompts: &'a [Vec<i32>], stop: &'a AtomicBool) -> Vec<Request<'a>> {
    let fast = inference_settings(config, Some(2));
    let refit = Some(Refit { every: 7, last: 12, fast: fast.clone() });
    let of = |index: usize| Request { sample: index as u32, ..request(&prompts[index], stop) };
    let mut requests: Vec<_> = (0..7).map(of).collect();
    requests[1].latents = Latents::Posterior(fast.clone());
    requests[2].sampling.temperature = 0.0;
    requests[3].latents = Latents::Posterior(fast);
    requests[3].refit = refit.clone();
    requests[3].sampling.max_tokens = 19;
    requests[4].sampling = Sampling {
        max_tokens: 25,
        min_p: 0.1,
        repetition_penalty: 1.5,
        vocab: Some(40),
        ..Sampling::default()
    };
    requests[5].refit = refit;
    requests[6].figures = true;
    requests
}

fn prompts() -> Vec<Vec<i32>> {
    [3, 9, 3, 24, 60, 1, 3].map(tokens).to_vec()
}

#[test]
fn texts_written_together_are_those_written_alone_bit_for_bit() {
    let (mut device, config, mut generator) = setup();
    let (prompts, stop) = (prompts(), AtomicBool::new(false));
    let requests = various(&config, &prompts, &stop);
    let alone: Vec<_> =
        requests.iter().map(|request| write(&mut device, &mut generator, request)).collect();
    assert!(alone.iter().enumerate().all(|(i, text)| !alone[..i].contains(text)));
    for (room, threads) in [(2, 1), (4, 2), (7, 1), (9, 2)] {
        let mut device = Cpu::new(threads).unwrap();
        let parameters = parameters(&mut device, &config);
        let mut generator = Generator::with_room(&mut device, &config, &parameters, room).unwrap();
        let mut emitted = vec![Vec::new(); requests.len()];
        let mut emit = |index: usize, token: i32| {
            emitted[index].push(token);
            ControlFlow::Continue(())
        };
        let together = generator.write(&mut device, &requests, &mut emit).unwrap();
        assert!(together == alone, "{room} together");
        assert!(together.iter().map(|text| &text.tokens).eq(&emitted));
    }
}

/// What stands in a text up to some place is the same whatever comes after it: it may end there,
/// go on, or be cut off by its reader.
#[test]
fn what_is_printed_does_not_depend_on_what_follows() {
    let (mut device, config, mut generator) = setup();
    let (prompts, stop) = (prompts(), AtomicBool::new(false));
    for request in various(&config, &prompts, &stop) {
        let whole = write(&mut device, &mut generator, &request);
        for length in [1, 6, 7, 8, 15] {
            let mut shorter = request.clone();
            shorter.sampling.max_tokens = length;
            let text = write(&mut device, &mut generator, &shorter);
            assert_eq!(text.tokens, whole.tokens[..length]);
            assert_eq!(text.thought, whole.thought);
            let mut count = 0;
            let mut emit = |_: usize, _: i32| {
                count += 1;
                if count == length { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let requests = std::slice::from_ref(&request);
            let cut = generator.write(&mut device, requests, &mut emit).unwrap().remove(0);
            assert_eq!((&cut.tokens, cut.end), (&text.tokens, End::Enough));
        }
    }
}

/// The z of a prompt and the logits at its places know nothing of the tokens behind it.
#[test]
fn later_tokens_change_no_earlier_logit() {
    let (mut device, config, mut generator) = setup();
    let fast = inference_settings(&config, None);
    let (ids, never) = (tokens(20), AtomicBool::new(false));
    let mut logits_with = |tail: i32| {
        let (_, z) = generator.infer(&mut device, &ids[..9], &fast, (1, 0), &never).unwrap();
        let z = device.alloc_from(&z).unwrap();
        let mut decoder = Decoder::new(&mut device, &config.model, &generator.weights, 1).unwrap();
        decoder.start(&mut device, 0, &z).unwrap();
        let mut all = Vec::new();
        for (place, &id) in ids.iter().enumerate() {
            let id = if place >= 12 { tail } else { id };
            decoder.step(&mut device, &[(0, id)]).unwrap();
            let logits = decoder.logits(&mut device, 1, 50).unwrap();
            all.push(device.read::<f32>(&logits).unwrap());
        }
        all
    };
    let (a, b) = (logits_with(3), logits_with(41));
    assert!(a[..12] == b[..12]);
    assert!(a[12..].iter().zip(&b[12..]).all(|(a, b)| a != b));
}
