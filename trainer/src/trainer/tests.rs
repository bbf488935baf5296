mod autoregressive;

use ltm_engine::{DeviceExt, DeviceKind};

use super::*;
use crate::config::{Layers, Preset};

/// A model of a few thousand weights with two fast steps, changed by `settings`.
fn config(settings: &[&str]) -> Config {
    let small = [
        "model.dim=16",
        "model.heads=2",
        "model.vocab_size=23",
        "model.max_seq_len=12",
        "model.window=5",
        "model.latents=4",
        "model.ffn_dim=32",
        "fast.steps=2",
        "train.batch=4",
    ];
    let layers = Layers::preset(Preset::Tiny).unwrap();
    let layers = small.iter().chain(settings).fold(layers, |layers, s| layers.set(s).unwrap());
    layers.finish(None).unwrap()
}

/// The same on a device, with initial weights.
fn trainer_on(device: DeviceKind, settings: &[&str]) -> Trainer {
    let mut trainer = Trainer::new(ltm_engine::open(device, 1).unwrap(), config(settings)).unwrap();
    let Trainer { device, parameters, config, .. } = &mut trainer;
    parameters.initialise(device.as_mut(), &config.model, 5).unwrap();
    trainer
}

pub(crate) fn trainer(settings: &[&str]) -> Trainer {
    trainer_on(DeviceKind::Cpu, settings)
}

/// Four sequences of twelve tokens, and their targets.
pub(crate) fn batch() -> (Vec<i32>, Vec<i32>) {
    let token = |i: usize| (i * i + i / 5) as i32 % 23;
    ((0..48).map(token).collect(), (1..49).map(token).collect())
}

fn gradients(trainer: &mut Trainer) -> Vec<f32> {
    let training = trainer.parameters.training.as_ref().unwrap();
    trainer.device.read(&training.gradients).unwrap()
}

/// Largest distance relative to the largest element of `b`.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    let largest = b.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / largest
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    for reading in ["paper", "released"] {
        let (tokens, targets) = batch();
        let run = |micro: &str| {
            let mut trainer = trainer(&[&format!("reading={reading}"), micro]);
            let report = trainer.iterate(0, &tokens, &targets, &NEVER).unwrap();
            (report, gradients(&mut trainer))
        };
        let (whole, expected) = run("train.micro_batch=4");
        for micro in ["train.micro_batch=1", "train.micro_batch=2"] {
            let (report, found) = run(micro);
            assert!((report.loss - whole.loss).abs() < 1e-5, "{reading} {micro}");
            assert!((report.kl - whole.kl).abs() < 1e-5, "{reading} {micro}");
            let error = distance(&found, &expected);
            assert!(error < 1e-4, "{reading} {micro}: gradients differ by {error}");
        }
    }
}

/// With two fast steps, the draws "only the first" and "only the last" average to the
/// gradient that uses both, and none of them changes the fast loop.
#[test]
fn a_sampled_trajectory_is_unbiased() {
    let (tokens, targets) = batch();
    let run = |samples: &str, iteration: u64| {
        let mut trainer = trainer(&[samples]);
        let trajectory = TrajectorySteps::draw(&trainer.config, iteration);
        let draw = Draw { seed: 9, iteration: 0, first_sample: 0, site_offset: 0 };
        let Trainer { device, workspace, config, .. } = &mut trainer;
        workspace.load(device.as_mut(), &tokens, &targets).unwrap();
        draw_start(device.as_mut(), workspace, &config.posterior, draw).unwrap();
        trainer.accumulate(0.34, &trajectory, &NEVER).unwrap();
        let nll = trainer.trace().unwrap().nll[2].clone();
        (trajectory.steps().to_vec(), nll, gradients(&mut trainer))
    };
    let (steps, nll, both) = run("slow.trajectory_samples=2", 0);
    assert_eq!(steps, [0, 1]);
    let drawn = |step: usize| {
        let draws = (0..64).map(|i| run("slow.trajectory_samples=1", i));
        draws.into_iter().find(|(steps, ..)| steps == &[step]).unwrap()
    };
    let (first, last) = (drawn(0), drawn(1));
    assert!(distance(&first.2, &last.2) > 1e-2, "the draws must differ for the test to mean much");
    let mean: Vec<f32> = first.2.iter().zip(&last.2).map(|(a, b)| (a + b) / 2.0).collect();
    let error = distance(&mean, &both);
    assert!(error < 1e-4, "the mean of the draws is off by {error}");
    for (a, b) in nll.iter().zip(&first.1) {
        assert!((a - b).abs() < 1e-3, "sampling changed the inferred posterior");
    }
}

/// A weight that is not a number makes everything else one. The update is queued before anybody
/// looks, so it has to do nothing by itself; moments and weights stay as they were.
#[test]
fn a_gradient_that_is_not_finite_is_not_applied() {
    for device in [DeviceKind::Cpu, DeviceKind::Vm] {
        let mut trainer = trainer_on(device, &[]);
        let (tokens, targets) = batch();
        trainer.iterate(0, &tokens, &targets, &NEVER).unwrap();
        let gain = trainer.parameters.layout.len() - 1;
        trainer.parameters.set(trainer.device.as_mut(), gain..gain + 1, &[f32::NAN]).unwrap();
        let state = |trainer: &mut Trainer| {
            let training = trainer.parameters.training.as_ref().unwrap();
            [&trainer.parameters.values, &training.first_moment, &training.second_moment].map(|b| {
                let values: Vec<f32> = trainer.device.read(b).unwrap();
                values.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
            })
        };
        let before = state(&mut trainer);
        let error = trainer.iterate(1, &tokens, &targets, &NEVER).unwrap_err();
        assert!(matches!(error, Error::Diverged { iteration: 1, .. }), "{error}");
        assert!(state(&mut trainer) == before, "a step was taken all the same");
    }
}
