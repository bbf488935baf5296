//! What is kept of the window, against the recorded forward pass over the whole prefix.

use ltm_autograd::Segment;

use super::*;
use crate::model::{Slot, SuffixArgs, record_prefix, record_suffix};

/// Longer than `max_seq_len`, and many windows long.
const LONG: usize = 60;

/// Logits `[T, V]` after each of `ids`, by the programs that training records.
fn recorded(
    device: &mut Cpu,
    config: &Config,
    parameters: &Parameters,
    z: &[f32],
    ids: &[i32],
) -> Vec<Vec<f32>> {
    let (model, layout) = (&config.model, &parameters.layout);
    let shape = BatchShape { batch: 1, seq: ids.len() };
    let workspace = Workspace::new(device, model, shape, (DType::F32, false), 0).unwrap();
    let mut workspace = workspace;
    workspace.load(device, ids, ids).unwrap();
    device.upload(&workspace.slot(Slot::Latents).unwrap(), z).unwrap();
    let hidden = device.alloc(DType::F32, ids.len() * model.dim).unwrap();
    let none = &mut |_: &mut ltm_autograd::Tape, _: &str, _: ltm_autograd::Var| {};
    let processor = device.processor();
    let kind = (false, DType::F32, processor);
    let mut prefix = record_prefix(model, layout, shape, kind, none).unwrap();
    let mut norm = None;
    let storage = DType::F32;
    let args = SuffixArgs { shape, latents: false, weights: false, scale: 1.0, storage, processor };
    let tap = &mut |tape: &mut ltm_autograd::Tape, name: &str, var: ltm_autograd::Var| {
        if name == "norm" {
            tape.export(var);
            norm = Some(var);
        }
    };
    let mut suffix = record_suffix(model, layout, args, tap).unwrap();
    suffix.program.bind(norm.unwrap(), &hidden).unwrap();
    for (program, bindings) in
        [(&mut prefix.program, &prefix.bindings), (&mut suffix.program, &suffix.bindings)]
    {
        bindings.bind(program, parameters, &|slot| workspace.slot(slot)).unwrap();
        program.place_alone(device).unwrap();
        program.run(Segment::All, device).unwrap();
    }
    // In f64, so that the comparison is with the hidden states and not with another product.
    let hidden: Vec<f32> = device.read(&hidden).unwrap();
    let table: Vec<f32> =
        device.read(&parameters.weights().slice(layout.embedding()).unwrap()).unwrap();
    let dot = |h: &[f32], e: &[f32]| {
        h.iter().zip(e).map(|(h, e)| f64::from(*h) * f64::from(*e)).sum::<f64>() as f32
    };
    let logits = |h: &[f32]| table.chunks_exact(model.dim).map(|e| dot(h, e)).collect();
    hidden.chunks_exact(model.dim).map(logits).collect()
}

fn random_z(device: &mut Cpu, generator: &Generator, sample: u32) -> Vec<f32> {
    let draw =
        crate::posterior::Draw { seed: 3, iteration: 0, first_sample: sample, site_offset: 0 };
    crate::posterior::draw_prior(device, &generator.workspace, draw).unwrap();
    device.read(&generator.workspace.z).unwrap()
}

fn argmax(logits: &[f32]) -> i32 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&logit| logit == top).unwrap() as i32
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_equal_those_of_the_whole_prefix() {
    for (latent_rope, latents) in [(true, true), (false, true), (true, false)] {
        let (mut device, mut config) = (Cpu::new(1).unwrap(), config());
        config.model.latent_rope = latent_rope;
        if !latents {
            (config.model.latents, config.fast.steps) = (0, 0);
        }
        let parameters = parameters(&mut device, &config);
        let generator = Generator::new(&mut device, &config, &parameters).unwrap();
        let (ids, z) = (tokens(LONG), random_z(&mut device, &generator, 0));
        let expected = recorded(&mut device, &config, &parameters, &z, &ids);
        let given = device.alloc_from(&z).unwrap();
        let mut decoder = Decoder::new(&mut device, &config.model, &parameters, 1).unwrap();
        // The second text finds the caches full of the first.
        for _ in 0..2 {
            decoder.start(&mut device, 0, &given).unwrap();
            for (position, (&id, expected)) in ids.iter().zip(&expected).enumerate() {
                decoder.step(&mut device, &[(0, id)]).unwrap();
                let logits = decoder.logits(&mut device, 1, 50).unwrap();
                let off = distance(&device.read::<f32>(&logits).unwrap(), expected);
                assert!(off < 1e-5, "position {position}: {off:e}");
            }
        }
        // The figures are not alike by being flat.
        let other = recorded(&mut device, &config, &parameters, &vec![0.0; z.len()], &ids);
        let moved = distance(&other[LONG - 1], &expected[LONG - 1]);
        assert_eq!(moved > 0.1, latents, "z matters where there is one");
        assert!(distance(&expected[3], &expected[40]) > 0.1, "the prefix matters");
    }
}

#[test]
fn greedy_text_is_that_of_the_whole_prefix_token_for_token() {
    let (mut device, config, mut generator) = setup();
    let (prompt, stop) = (tokens(4), AtomicBool::new(false));
    let mut met = std::collections::BTreeSet::new();
    for sample in 0..3 {
        let z = random_z(&mut device, &generator, sample);
        let mut request = request(&prompt, &stop);
        request.latents = Latents::Given(z.as_slice().into());
        (request.sampling.temperature, request.sampling.max_tokens) = (0.0, LONG);
        let text = write(&mut device, &mut generator, &request).tokens;
        let mut ids = prompt.clone();
        let weights = generator.weights.frozen();
        for (place, &token) in text.iter().enumerate() {
            let logits = recorded(&mut device, &config, &weights, &z, &ids);
            assert_eq!(token, argmax(logits.last().unwrap()), "token {place}");
            ids.push(token);
        }
        met.extend(text.iter().copied());
        request.sampling.temperature = 1.0;
        request.sampling.top_k = 1;
        assert_eq!(write(&mut device, &mut generator, &request).tokens, text);
    }
    assert!(met.len() > 5, "not always the same few: {met:?}");
}

/// Fed at once or one by one, beside others or not: the same bits.
#[test]
fn how_many_tokens_are_fed_at_once_changes_nothing() {
    let (mut device, config, generator) = setup();
    let (ids, z) = (tokens(77), random_z(&mut device, &generator, 0));
    let given = device.alloc_from(&z).unwrap();
    let mut decoder = Decoder::new(&mut device, &config.model, &generator.weights, 3).unwrap();
    for slot in 0..3 {
        decoder.start(&mut device, slot, &given).unwrap();
    }
    for &id in &ids[..76] {
        decoder.step(&mut device, &[(0, id)]).unwrap();
    }
    decoder.feed(&mut device, 1, &ids[..76]).unwrap();
    decoder.feed(&mut device, 2, &ids[..5]).unwrap();
    let rows: Vec<_> = (0..3).map(|slot| (slot, ids[if slot == 2 { 5 } else { 76 }])).collect();
    decoder.step(&mut device, &rows).unwrap();
    let logits = decoder.logits(&mut device, 3, 50).unwrap();
    let logits: Vec<f32> = device.read(&logits).unwrap();
    assert!(logits[..50] == logits[50..100], "fed at once");
    assert!(logits[..50] != logits[100..], "another prefix");
}

/// What is drawn is told with its figures: those of the model's own distribution.
#[test]
fn figures_are_those_of_the_whole_prefix() {
    let (mut device, config, mut generator) = setup();
    let (prompt, stop) = (tokens(4), AtomicBool::new(false));
    let z = random_z(&mut device, &generator, 0);
    let mut request = request(&prompt, &stop);
    request.latents = Latents::Given(z.as_slice().into());
    request.figures = true;
    request.sampling.temperature = 1.7;
    request.sampling.repetition_penalty = 1.3;
    let all = write(&mut device, &mut generator, &request);
    request.sampling.end = Some(all.tokens[20]);
    let text = write(&mut device, &mut generator, &request);
    assert_eq!((text.end, text.drawn.len()), (End::EndOfText, text.tokens.len() + 1));
    let drawn: Vec<i32> = all.tokens[..text.drawn.len()].to_vec();
    let ids: Vec<i32> = prompt.iter().chain(&drawn).copied().collect();
    let weights = generator.weights.frozen();
    let logits = recorded(&mut device, &config, &weights, &z, &ids);
    for (place, (token, figures)) in drawn.iter().zip(&text.drawn).enumerate() {
        let logits: Vec<f64> = logits[prompt.len() - 1 + place].iter().map(|&l| l.into()).collect();
        let sum: f64 = logits.iter().map(|l| l.exp()).sum();
        let nll = sum.ln() - logits[*token as usize];
        let entropy: f64 = logits.iter().map(|l| l.exp() / sum * (sum.ln() - l)).sum();
        assert!((figures.nll - nll).abs() < 1e-3, "{figures:?}, {nll}");
        assert!((figures.entropy - entropy).abs() < 1e-3, "{figures:?}, {entropy}");
    }
}
