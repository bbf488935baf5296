use std::sync::atomic::Ordering;

use ltm_autograd::Segment;
use ltm_engine::DeviceExt;
use ltm_engine::cpu::Cpu;

use super::*;
use crate::Error;
use crate::config::PriorKind;
use crate::latents::tests::{config, parameters, some_texts, text};

static GO: AtomicBool = AtomicBool::new(false);

fn setup() -> (Cpu, Encoder) {
    let (mut device, mut config) = (Cpu::new(1).unwrap(), config());
    config.model.layers = 3;
    config.model.latents = 6;
    let parameters = parameters(&mut device, &config);
    let encoder = Encoder::new(&config, &parameters, None).unwrap();
    (device, encoder)
}

fn run(device: &mut Cpu, encoder: &mut Encoder, absent: Absent, batch: usize) -> Probed {
    let options = ProbeOptions { absent, batch, stop: &GO, progress: &|_| {} };
    probe(device, encoder, &mut Texts::given(some_texts()), &options).unwrap()
}

fn layers(levels: &[Level]) -> Vec<usize> {
    levels.iter().map(|level| level.layers).collect()
}

#[test]
fn with_all_layers_it_is_the_reconstruction_and_with_none_that_without_a_thought() {
    let (mut device, mut encoder) = setup();
    let (mut full, mut without, mut tokens) = (0.0, 0.0, 0);
    for text in some_texts() {
        let encoded = encoder.encode(&mut device, &[&text], &GO).unwrap();
        full += encoded[0].nll;
        let Inferred { passes, workspace, .. } = encoder.infer(&mut device, &[&text], &GO).unwrap();
        device.zero(&workspace.z).unwrap();
        passes.score.run(Segment::All, &mut device).unwrap();
        let nll: Vec<f32> = device.read(&workspace.token_nll).unwrap();
        without += nll[..text.tokens()].iter().map(|&x| f64::from(x)).sum::<f64>();
        tokens += text.tokens() as u64;
    }
    let (full, without) = (full / tokens as f64, without / tokens as f64);
    let found = run(&mut device, &mut encoder, Absent::Mean, 1);
    assert_eq!((found.texts, found.tokens, found.fast_steps), (5, tokens, 4));
    for levels in [&found.first_layers, &found.last_layers] {
        assert_eq!(layers(levels), [0, 1, 2, 3]);
        assert_eq!((levels[0].nll, levels[3].nll), (without, full));
    }
    assert!(full < without, "{full} {without}");
    assert_ne!(found.first_layers[1], found.last_layers[1]);
    assert_ne!(found.first_layers[2], found.last_layers[2]);
}

#[test]
fn latents_of_layers_left_out_have_no_say() {
    let (mut device, mut encoder) = setup();
    let text = text("morning rain falls on the bridge");
    let (config, weights) = (encoder.config().clone(), encoder.weights().frozen());
    let Inferred { workspace, .. } = encoder.infer(&mut device, &[&text], &GO).unwrap();
    let mut parts = Parts::new(&mut device, &config, &weights, workspace).unwrap();
    device.copy(&workspace.z, &parts.inferred).unwrap();
    device.zero(&parts.absent).unwrap();
    let score = |device: &mut Cpu, parts: &mut Parts, present| {
        parts.score(device, workspace, (&present, 3), &[&text]).unwrap()[0]
    };
    let sets = [0..0, 0..1, 0..2, 0..3, 1..3, 2..3];
    let before = sets.clone().map(|present| score(&mut device, &mut parts, present));
    let size = parts.inferred.len() / 3;
    for layer in 0..3 {
        let own = parts.inferred.slice(layer * size..(layer + 1) * size).unwrap();
        let values: Vec<f32> = device.read(&own).unwrap();
        let changed: Vec<f32> = values.iter().map(|value| 1.0 - value).collect();
        device.upload(&own, &changed).unwrap();
        for (present, before) in sets.clone().into_iter().zip(before) {
            let heard = present.contains(&layer);
            assert_eq!(
                score(&mut device, &mut parts, present.clone()) != before,
                heard,
                "{layer} {present:?}"
            );
        }
        device.upload(&own, &values).unwrap();
    }
}

#[test]
fn accuracy_counts_the_tokens_that_are_the_most_probable() {
    let (mut device, mut encoder) = setup();
    let text = text("morning rain falls on the bridge");
    let (config, weights) = (encoder.config().clone(), encoder.weights().frozen());
    let Inferred { workspace, .. } = encoder.infer(&mut device, &[&text], &GO).unwrap();
    let mut parts = Parts::new(&mut device, &config, &weights, workspace).unwrap();
    device.copy(&workspace.z, &parts.inferred).unwrap();
    let score = |device: &mut Cpu, parts: &mut Parts, ids: Vec<i32>| {
        let text = Text { ids, ..text.clone() };
        parts.score(device, workspace, (&(0..3), 3), &[&text]).unwrap()[0].correct
    };
    // A text whose targets are the guesses at these inputs has them all right, and one more of
    // another kind one less.
    let guesses = parts.reconstruction.guess(&mut device).unwrap();
    let mut ids = vec![text.ids[0]];
    ids.extend(&guesses[..text.tokens()]);
    assert_eq!(score(&mut device, &mut parts, ids.clone()), 32);
    ids[5] = (ids[5] + 1) % 256;
    assert_eq!(score(&mut device, &mut parts, ids), 31);
}

/// The absent layers have the mean of the prior, whatever that is.
#[test]
fn a_learned_prior_has_another_mean() {
    let (mut device, encoder) = setup();
    let mut config = encoder.config().clone();
    config.model.prior = PriorKind::Learned;
    let parameters = parameters(&mut device, &config);
    let [mean, _] = parameters.layout.prior().unwrap();
    let mut of = |mean_is: f32| {
        let values = vec![mean_is; mean.len()];
        device.upload(&parameters.values.slice(mean.clone()).unwrap(), &values).unwrap();
        let mut encoder = Encoder::new(&config, &parameters, Some(0)).unwrap();
        let found = run(&mut device, &mut encoder, Absent::Mean, 1);
        found.first_layers.iter().map(|level| level.nll).collect::<Vec<_>>()
    };
    let (zero, one) = (of(0.0), of(1.0));
    assert_eq!(zero[3], one[3]);
    assert!(zero[..3].iter().zip(&one[..3]).all(|(zero, one)| zero != one), "{zero:?} {one:?}");
}

#[test]
fn draws_from_the_prior_stand_for_layers_left_out() {
    let (mut device, mut encoder) = setup();
    let zero = run(&mut device, &mut encoder, Absent::Mean, 1);
    let prior = run(&mut device, &mut encoder, Absent::Prior, 1);
    assert_eq!(prior, run(&mut device, &mut encoder, Absent::Prior, 1));
    assert_eq!(zero.first_layers[3], prior.first_layers[3]);
    for k in 0..3 {
        assert_ne!(zero.first_layers[k].nll, prior.first_layers[k].nll);
        assert_ne!(zero.last_layers[k].nll, prior.last_layers[k].nll);
    }
    for absent in [Absent::Mean, Absent::Prior] {
        let (alone, together) =
            (run(&mut device, &mut encoder, absent, 1), run(&mut device, &mut encoder, absent, 3));
        for (a, b) in alone.first_layers.iter().zip(&together.first_layers) {
            assert!((a.nll - b.nll).abs() < 1e-3, "{a:?} {b:?}");
        }
    }
}

#[test]
fn nothing_to_probe() {
    let (mut device, mut encoder) = setup();
    let mut refused = |texts: Vec<Text>, batch, stop: &AtomicBool| {
        let options = ProbeOptions { absent: Absent::Mean, batch, stop, progress: &|_| {} };
        probe(&mut device, &mut encoder, &mut Texts::given(texts), &options).unwrap_err()
    };
    assert!(refused(Vec::new(), 1, &GO).to_string().contains("no text"));
    assert!(refused(some_texts(), 0, &GO).to_string().contains("--batch is 0"));
    let stop = AtomicBool::new(false);
    stop.store(true, Ordering::Relaxed);
    assert!(matches!(refused(some_texts(), 1, &stop), Error::Interrupted));
}
