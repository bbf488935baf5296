//! A model without latents against a decoder of its own in f64, and against a model with latents
//! whose latent attention writes nothing.

use std::collections::BTreeMap;

use ltm_engine::DeviceExt;

use super::*;
use crate::config::ModelConfig;

const NO_LATENTS: &str = "model.latents=0";

/// Weights by name, row-major.
type Weights = BTreeMap<String, Vec<f64>>;

/// Random weights, larger than initial ones, so that every part of the decoder matters.
fn spread(trainer: &mut Trainer) {
    let Trainer { device, parameters, .. } = trainer;
    let mut values: Vec<f32> = device.read(&parameters.values).unwrap();
    for (place, value) in values.iter_mut().enumerate() {
        *value = if *value == 1.0 { 1.0 + (place % 7) as f32 / 10.0 } else { *value * 6.0 };
    }
    let all = 0..values.len();
    parameters.set(device.as_mut(), all, &values).unwrap();
}

fn weights(trainer: &mut Trainer) -> Weights {
    let values: Vec<f32> = trainer.device.read(&trainer.parameters.values).unwrap();
    let entries = trainer.parameters.layout.entries();
    let of = |range: std::ops::Range<usize>| values[range].iter().map(|&x| f64::from(x)).collect();
    entries.iter().map(|entry| (entry.name.clone(), of(entry.range.clone()))).collect()
}

/// `x W^T`.
fn product(x: &[f64], weight: &[f64]) -> Vec<f64> {
    weight.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

fn rms_norm(x: &[f64], gain: &[f64], eps: f64) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    x.iter().zip(gain).map(|(x, gain)| x / (mean + eps).sqrt() * gain).collect()
}

/// Rotates the pairs of one head by the angles of `position`.
fn rotated(x: &[f64], position: usize, theta: f64) -> Vec<f64> {
    let width = x.len() as f64;
    let pairs = x.chunks(2).enumerate().flat_map(|(pair, x)| {
        let angle = position as f64 / theta.powf(2.0 * pair as f64 / width);
        let (sin, cos) = angle.sin_cos();
        [x[0] * cos - x[1] * sin, x[0] * sin + x[1] * cos]
    });
    pairs.collect()
}

/// Causal attention over the last `window` tokens: `[T][D]` from `[T][D]` each.
fn attention(q: &[Vec<f64>], k: &[Vec<f64>], v: &[Vec<f64>], m: &ModelConfig) -> Vec<Vec<f64>> {
    let d = m.head_dim();
    let turned = |x: &[Vec<f64>], i: usize, head: usize| {
        rotated(&x[i][head * d..(head + 1) * d], i, m.rope_theta)
    };
    let mut out = vec![vec![0.0; m.dim]; q.len()];
    for (i, out) in out.iter_mut().enumerate() {
        for head in 0..m.heads {
            let query = turned(q, i, head);
            let visible = (i + 1).saturating_sub(m.window)..i + 1;
            let score = |j: usize| {
                let key = turned(k, j, head);
                let dot: f64 = query.iter().zip(&key).map(|(q, k)| q * k).sum();
                (dot / (d as f64).sqrt()).exp()
            };
            let scores: Vec<f64> = visible.clone().map(score).collect();
            let sum: f64 = scores.iter().sum();
            for (j, score) in visible.zip(scores) {
                for c in head * d..(head + 1) * d {
                    out[c] += score / sum * v[j][c];
                }
            }
        }
    }
    out
}

/// Mean cross-entropy of the tokens of one sequence.
fn cross_entropy(w: &Weights, m: &ModelConfig, tokens: &[i32], targets: &[i32]) -> f64 {
    let embedding = &w["tok_embeddings.weight"];
    let row = |token: i32| embedding[token as usize * m.dim..][..m.dim].to_vec();
    let mut h: Vec<Vec<f64>> = tokens.iter().map(|&token| row(token)).collect();
    let add = |h: &mut [Vec<f64>], x: &[Vec<f64>], weight: &[f64]| {
        for (h, x) in h.iter_mut().zip(x) {
            h.iter_mut().zip(product(x, weight)).for_each(|(h, x)| *h += x);
        }
    };
    for layer in 0..m.layers {
        let part = |name: &str| &w[&format!("layers.{layer}.{name}.weight")];
        let normed = |h: &[Vec<f64>], gain: &str| -> Vec<Vec<f64>> {
            h.iter().map(|h| rms_norm(h, part(gain), m.norm_eps)).collect()
        };
        let map = |x: &[Vec<f64>], name: &str| -> Vec<Vec<f64>> {
            x.iter().map(|x| product(x, part(name))).collect()
        };
        let n = normed(&h, "attention_norm");
        let [q, k, v] = ["wq", "wk", "wv"].map(|name| map(&n, &format!("attention.{name}")));
        add(&mut h, &attention(&q, &k, &v, m), part("attention.wo"));
        let n = normed(&h, "ffn_norm");
        let (gate, up) = (map(&n, "feed_forward.gate_proj"), map(&n, "feed_forward.up_proj"));
        let gated: Vec<Vec<f64>> = gate
            .iter()
            .zip(&up)
            .map(|(g, u)| g.iter().zip(u).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect())
            .collect();
        add(&mut h, &gated, part("feed_forward.down_proj"));
    }
    let nll = h.iter().zip(targets).map(|(h, &target)| {
        let logits = product(&rms_norm(h, &w["norm.weight"], m.norm_eps), embedding);
        logits.iter().map(|l| l.exp()).sum::<f64>().ln() - logits[target as usize]
    });
    nll.sum::<f64>() / tokens.len() as f64
}

/// Mean over the sequences of [`batch`].
fn loss(w: &Weights, m: &ModelConfig) -> f64 {
    let (tokens, targets) = batch();
    let pairs = tokens.chunks(12).zip(targets.chunks(12));
    pairs.map(|(tokens, targets)| cross_entropy(w, m, tokens, targets)).sum::<f64>() / 4.0
}

/// Loss and gradient of the first iteration on [`batch`].
fn first_iteration(trainer: &mut Trainer) -> (IterationReport, Vec<f32>) {
    let (tokens, targets) = batch();
    let report = trainer.iterate(0, &tokens, &targets, &NEVER).unwrap();
    let gradients = gradients(trainer);
    (report, gradients)
}

#[test]
fn loss_and_gradients_are_those_of_plain_cross_entropy() {
    for (window, micro) in [(5, 4), (12, 2), (1, 1)] {
        let settings =
            [NO_LATENTS, &format!("model.window={window}"), &format!("train.micro_batch={micro}")];
        let mut trainer = trainer(&settings);
        spread(&mut trainer);
        let (model, mut w) = (trainer.config.model.clone(), weights(&mut trainer));
        assert!(!w.keys().any(|name| name.contains("cross")), "{:?}", w.keys());
        let expected = loss(&w, &model);
        let (report, found) = first_iteration(&mut trainer);
        assert!((report.loss / expected - 1.0).abs() < 1e-5, "{} {expected}", report.loss);
        assert_eq!((report.kl, report.fast_lr), (0.0, 0.0));
        assert!(report.fast_nll.is_empty() && report.fast_kl.is_empty());

        let largest = found.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let entries = trainer.parameters.layout.entries().to_vec();
        for entry in entries {
            let len = entry.range.len();
            for place in [0, len / 3, len - 1] {
                let mut at = |offset: f64| {
                    w.get_mut(&entry.name).unwrap()[place] += offset;
                    let loss = loss(&w, &model);
                    w.get_mut(&entry.name).unwrap()[place] -= offset;
                    loss
                };
                let step = 1e-5;
                let slope = (at(step) - at(-step)) / (2.0 * step);
                let off = (f64::from(found[entry.range.start + place]) - slope).abs();
                let allowed = 1e-4 * f64::from(largest);
                assert!(off < allowed, "window {window}: {} {place}: off by {off}", entry.name);
            }
        }
    }
}

/// A latent attention whose output projection is zero adds nothing to the residual stream, so the
/// rest of the decoder, which the fixtures hold to the oracle, is a model without latents.
#[test]
fn it_is_the_model_with_latents_whose_latent_attention_writes_nothing() {
    let mut with = trainer(&["reading=paper"]);
    let mut without = trainer(&["reading=paper", NO_LATENTS]);
    spread(&mut with);
    let all: Vec<f32> = with.device.read(&with.parameters.values).unwrap();
    for entry in with.parameters.layout.entries().to_vec() {
        let values = &all[entry.range.clone()];
        if entry.name.ends_with("cross_attention.wo.weight") {
            let zeros = vec![0.0; values.len()];
            with.parameters.set(with.device.as_mut(), entry.range, &zeros).unwrap();
            continue;
        }
        let entries = without.parameters.layout.entries();
        let same = entries.iter().find(|other| other.name == entry.name);
        let Some(range) = same.map(|other| other.range.clone()) else {
            assert!(entry.name.contains("cross"), "{}", entry.name);
            continue;
        };
        without.parameters.set(without.device.as_mut(), range, values).unwrap();
    }
    let (expected, theirs) = first_iteration(&mut with);
    let (report, ours) = first_iteration(&mut without);
    assert!((report.loss - expected.loss).abs() < 1e-6, "{report:?} {expected:?}");
    for entry in without.parameters.layout.entries() {
        let entries = with.parameters.layout.entries();
        let same = entries.iter().find(|other| other.name == entry.name).unwrap();
        let off = distance(&ours[entry.range.clone()], &theirs[same.range.clone()]);
        assert!(off < 1e-5, "{}: {off}", entry.name);
    }
}

/// With bf16 too, and with every part of an iteration recorded and repeated.
#[test]
fn the_virtual_gpu_follows_the_cpu() {
    let run = |device: DeviceKind, settings: &[&str]| {
        let fast = ["slow.lr=1e-2", "slow.warmup=1", NO_LATENTS, "train.micro_batch=2"];
        let mut trainer = trainer_on(device, &[&fast[..], settings].concat());
        let (tokens, targets) = batch();
        let one = |i| trainer.iterate(i, &tokens, &targets, &NEVER).unwrap().loss;
        (0..5).map(one).collect::<Vec<f64>>()
    };
    let cpu = run(DeviceKind::Cpu, &[]);
    assert!(cpu[4] < 0.95 * cpu[0], "nothing is learned: {cpu:?}");
    let wide = ["model.dim=64", "model.heads=2"];
    let (wide_cpu, vm) = (run(DeviceKind::Cpu, &wide), run(DeviceKind::Vm, &wide));
    let bf16 = run(DeviceKind::Vm, &[&wide[..], &["train.dtype=bf16"]].concat());
    for ((cpu, vm), bf16) in wide_cpu.iter().zip(&vm).zip(&bf16) {
        assert!((vm / cpu - 1.0).abs() < 1e-4, "{wide_cpu:?} {vm}");
        assert!((bf16 / cpu - 1.0).abs() < 0.02, "{wide_cpu:?} {bf16}");
    }
}
