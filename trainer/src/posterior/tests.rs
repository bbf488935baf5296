use ltm_engine::philox::Stream;
use ltm_engine::{DeviceExt, DeviceKind};

use super::prior::{HostPrior, weighted_kl};
use super::store::{PosteriorStore, Visit};
use super::*;
use crate::Trainer;
use crate::schedule::TrajectorySteps;
use crate::sites;
use crate::trainer::tests::{batch, trainer};
use crate::trainer::{IterationReport, NEVER};

const DRAW: Draw = Draw { seed: 9, iteration: 3, first_sample: 0, site_offset: 0 };

/// Makes a learned prior something else than N(0, I).
fn bend_prior(trainer: &mut Trainer) {
    let [mean, logvar] = trainer.parameters.layout.prior().expect("a learned prior");
    for (range, scale) in [(mean, 0.3), (logvar, -0.2)] {
        let values: Vec<f32> = range.clone().map(|i| scale * (i as f32).sin()).collect();
        trainer.parameters.set(trainer.device.as_mut(), range, &values).unwrap();
    }
}

/// The fast loop and the slow pass on one batch, with the gradients that they leave.
fn accumulate(settings: &[&str]) -> (Trainer, FastTrace) {
    let mut trainer = trainer(settings);
    if settings.contains(&"model.prior=learned") {
        bend_prior(&mut trainer);
    }
    let (tokens, targets) = batch();
    let Trainer { device, workspace, config, .. } = &mut trainer;
    workspace.load(device.as_mut(), &tokens, &targets).unwrap();
    draw_start(device.as_mut(), workspace, &config.posterior, DRAW).unwrap();
    let peak = config.fast.lr;
    trainer.zero_gradients().unwrap();
    trainer.accumulate(peak, &TrajectorySteps::none(), &NEVER).unwrap();
    let trace = trainer.trace().unwrap();
    (trainer, trace)
}

fn host_prior(trainer: &mut Trainer) -> HostPrior {
    let n = trainer.workspace.gaussian.per_sample();
    HostPrior::read(trainer.device.as_mut(), &trainer.parameters, n).unwrap()
}

/// mu and logvar of each sequence.
fn posteriors(trainer: &mut Trainer) -> Vec<(Vec<f32>, Vec<f32>)> {
    let n = trainer.workspace.gaussian.per_sample();
    let [mu, logvar]: [Vec<f32>; 2] = [&trainer.workspace.mu, &trainer.workspace.logvar]
        .map(|buffer| trainer.device.read(buffer).unwrap());
    mu.chunks(n).zip(logvar.chunks(n)).map(|(a, b)| (a.to_vec(), b.to_vec())).collect()
}

const METHODS: [&[&str]; 4] = [
    &["fast.method=adamw"],
    &["fast.method=sgd", "fast.lr=0.01"],
    &["fast.method=natural", "fast.lr=0.1"],
    // From far outside, where the walk is downhill.
    &["fast.method=langevin", "posterior.mu_std=3", "fast.langevin_step=0.05"],
];

#[test]
fn every_method_lowers_what_it_minimises_and_reports_its_divergence() {
    for method in METHODS {
        for prior in ["model.prior=standard", "model.prior=learned"] {
            let steps = ["fast.steps=12", "posterior.logvar_mean=-2", prior];
            let (mut trainer, trace) = accumulate(&[method, &steps].concat());
            let prior = host_prior(&mut trainer);
            let point = trainer.config.fast.method.is_point();
            let total = |row: usize| -> f64 { trace.nll[row].iter().chain(&trace.kl[row]).sum() };
            assert!(total(12) < total(0), "{method:?}: {} to {}", total(0), total(12));
            for (s, (mu, logvar)) in posteriors(&mut trainer).into_iter().enumerate() {
                let expected = match point {
                    true => -prior.log_density(mu.iter().map(|&z| f64::from(z))),
                    false => prior.vector_kls(&mu, &logvar, 16).iter().sum(),
                };
                let found = trace.kl[12][s];
                assert!((found - expected).abs() < 1e-9 * expected.abs(), "{found} {expected}");
            }
        }
    }
}

/// z of a point is mu: the last move of the chain is what the slow step sees.
#[test]
fn langevin_infers_a_point() {
    let (mut trainer, _) = accumulate(&["fast.method=langevin", "fast.langevin_step=0.05"]);
    let shape = trainer.workspace.gaussian;
    let z: Vec<f32> = trainer.device.read(&trainer.workspace.z).unwrap();
    for (s, (mu, logvar)) in posteriors(&mut trainer).into_iter().enumerate() {
        assert!(logvar.iter().all(|&x| x == 0.0));
        for (i, mu) in mu.into_iter().enumerate() {
            let (layer, inside) = (i / shape.per_layer, i % shape.per_layer);
            assert_eq!(z[(layer * shape.samples + s) * shape.per_layer + inside], mu);
        }
    }
    // The spread of two steps of noise, and little else: sqrt(2 * 2 * 0.05).
    let mu: Vec<f32> = trainer.device.read(&trainer.workspace.mu).unwrap();
    let square = mu.iter().map(|x| f64::from(x * x)).sum::<f64>() / mu.len() as f64;
    assert!((square.sqrt() / 0.2f64.sqrt() - 1.0).abs() < 0.3, "{}", square.sqrt());
}

#[test]
fn fresh_noise_is_another_draw_after_every_step() {
    let run = |noise: &str| {
        let (mut trainer, trace) = accumulate(&[noise, "fast.steps=4"]);
        let eps: Vec<f32> = trainer.device.read(&trainer.workspace.eps).unwrap();
        (trace, eps)
    };
    let (fixed, start) = run("posterior.noise=fixed");
    let (fresh, last) = run("posterior.noise=fresh");
    assert_eq!((&fresh, &last), (&run("posterior.noise=fresh").0, &run("posterior.noise=fresh").1));
    assert_eq!(fixed.nll[0], fresh.nll[0], "the first z has the eps of the start");
    assert!((1..5).all(|row| fixed.nll[row] != fresh.nll[row]));
    for (eps, site) in [(start, sites::EPS), (last, sites::step_noise(3))] {
        for (sample, eps) in eps.chunks(64).enumerate() {
            let stream = Stream { seed: 9, site, sample: sample as u32, iteration: 3 };
            let expected: Vec<f32> = (0..16).flat_map(|block| stream.normals(block)).collect();
            assert_eq!(eps, expected, "site {site} sample {sample}");
        }
    }
}

/// At the inferred posterior, by central differences of the weighted KL per token in f64.
#[test]
fn the_gradient_of_a_learned_prior_is_that_of_the_objective() {
    for settings in [
        &["fast.method=adamw", "posterior.kl_weight=0.7"][..],
        &["fast.method=natural", "fast.lr=0.1", "posterior.free_bits=4"],
        &["fast.method=langevin"],
    ] {
        let fixed = ["model.prior=learned", "reading=paper", "posterior.logvar_mean=-1"];
        let (mut trainer, _) = accumulate(&[settings, &fixed].concat());
        let (prior, posteriors) = (host_prior(&mut trainer), posteriors(&mut trainer));
        let config = trainer.config.clone();
        let objective = |prior: &HostPrior| -> f64 {
            let cost = |(mu, logvar): &(Vec<f32>, Vec<f32>)| match config.fast.method.is_point() {
                true => -prior.log_density(mu.iter().map(|&z| f64::from(z))),
                false => prior
                    .vector_kls(mu, logvar, 16)
                    .into_iter()
                    .map(|kl| kl.max(config.posterior.free_bits))
                    .sum(),
            };
            config.posterior.kl_weight * posteriors.iter().map(cost).sum::<f64>() / 48.0
        };
        let weighted = weighted_kl(trainer.device.as_mut(), &trainer.workspace).unwrap();
        assert!((weighted / 48.0 - objective(&prior)).abs() < 1e-6, "{settings:?}");
        let gradients = &trainer.parameters.training.as_ref().unwrap().gradients;
        let gradients: Vec<f32> = trainer.device.read(gradients).unwrap();
        let ranges = trainer.parameters.layout.prior().unwrap();
        for (place, range) in ranges.into_iter().enumerate() {
            for (i, &found) in gradients[range].iter().enumerate() {
                let moved = |by: f32| {
                    let mut prior = prior.clone();
                    let values = [&mut prior.mean, &mut prior.logvar];
                    values[place][i] += by;
                    (f64::from(values[place][i]), objective(&prior))
                };
                let ((high, above), (low, below)) = (moved(1e-3), moved(-1e-3));
                let expected = (above - below) / (high - low);
                let error = (f64::from(found) - expected).abs();
                assert!(error < 1e-5, "{settings:?} {place} {i}: {found} against {expected}");
            }
        }
    }
}

#[test]
fn a_learned_prior_is_trained_drawn_from_and_not_decayed() {
    let mut trainer = trainer(&["model.prior=learned", "slow.weight_decay=0.5", "slow.warmup=1"]);
    let [mean, logvar] = trainer.parameters.layout.prior().unwrap();
    for segment in trainer.parameters.layout.segments() {
        assert!(segment.offset + segment.len <= mean.start || !segment.decay);
    }
    assert_eq!(host_prior(&mut trainer), HostPrior::standard(64));
    let (tokens, targets) = batch();
    (0..3).for_each(|i| drop(trainer.iterate(i, &tokens, &targets, &NEVER).unwrap()));
    let learned = host_prior(&mut trainer);
    assert!(learned.mean.iter().all(|&x| x != 0.0) && learned.logvar.iter().all(|&x| x != 0.0));
    assert_eq!(mean.len() + logvar.len(), 128);
    let Trainer { device, workspace, .. } = &mut trainer;
    draw_prior(device.as_mut(), workspace, DRAW).unwrap();
    let [z, eps]: [Vec<f32>; 2] =
        [&workspace.z, &workspace.eps].map(|buffer| device.read(buffer).unwrap());
    // The first layer of the first sequence is at the front of both.
    for i in 0..32 {
        let expected = learned.mean[i] + eps[i] * (0.5 * learned.logvar[i]).exp();
        assert!((z[i] - expected).abs() < 1e-6, "{i}: {} against {expected}", z[i]);
    }
    let model = &trainer.config.model;
    let shape = trainer.workspace.shape;
    let kind = (trainer.config.storage(), false);
    let unaware = Workspace::new(trainer.device.as_mut(), model, shape, kind, 1).unwrap();
    let error = draw_prior(trainer.device.as_mut(), &unaware, DRAW).unwrap_err();
    assert!(matches!(error, Error::UnknownPrior), "{error}");
}

fn iterate(settings: &[&str], iterations: u64) -> Vec<IterationReport> {
    let mut trainer = trainer(settings);
    let (tokens, targets) = batch();
    (0..iterations).map(|i| trainer.iterate(i, &tokens, &targets, &NEVER).unwrap()).collect()
}

#[test]
fn the_weighted_objective_stands_beside_the_true_bound() {
    assert_eq!(iterate(&[], 1)[0].objective, None);
    let reports = iterate(&["posterior.kl_weight=0.5", "posterior.kl_warmup=4"], 5);
    for (report, weight) in reports.iter().zip([0.125, 0.25, 0.375, 0.5, 0.5]) {
        let expected = report.loss + weight * report.kl;
        assert!((report.objective.unwrap() - expected).abs() < 1e-9);
    }
    // Everything is free: 4 sequences of 4 vectors over 48 tokens, and no pull to the prior.
    let free = &iterate(&["posterior.free_bits=1000"], 1)[0];
    assert!((free.objective.unwrap() - free.loss - 16000.0 / 48.0).abs() < 1e-9);
    let none = &iterate(&["posterior.kl_weight=0"], 1)[0];
    assert_eq!(free.fast_nll, none.fast_nll);
    assert!((none.objective.unwrap() - none.loss).abs() < 1e-12);
}

/// With weights that stand still, a second visit begins where the first one ended.
#[test]
fn a_warm_start_continues() {
    for method in METHODS {
        for micro in ["train.micro_batch=4", "train.micro_batch=2"] {
            let still = ["slow.lr=0", "slow.min_lr=0", micro];
            let mut trainer = trainer(&[method, &still].concat());
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("posteriors.bin");
            let mut store = PosteriorStore::open(&path, &trainer.config.model, 9, 0).unwrap();
            let (tokens, targets) = batch();
            let mut visit = |iteration: u64, windows: &[u64]| {
                let visit = Visit::new(&mut store, windows, iteration);
                trainer.iterate_on(iteration, (&tokens, &targets), Some(visit), &NEVER).unwrap()
            };
            let first = visit(0, &[3, 8, 0, 1]);
            let second = visit(1, &[3, 8, 0, 1]);
            // Within the rounding of two orders of addition in f64.
            let same = |a: f64, b: f64| assert!((a - b).abs() < 1e-14 * b.abs(), "{method:?}");
            same(second.fast_kl[0], first.kl);
            let elsewhere = visit(2, &[2, 4, 5, 6]);
            assert!((elsewhere.fast_kl[0] - first.fast_kl[0]).abs() < 0.5 * first.fast_kl[0]);
            assert_ne!(elsewhere.fast_kl[0], second.kl);
            let third = visit(3, &[3, 8, 0, 1]);
            same(third.fast_kl[0], second.kl);
        }
    }
}

#[test]
fn a_gpu_refuses_what_it_has_no_kernel_for_and_names_it() {
    for setting in [
        "fast.method=langevin",
        "fast.method=sgd",
        "fast.method=natural",
        "model.prior=learned",
        "posterior.kl_weight=0.5",
        "posterior.kl_warmup=3",
        "posterior.free_bits=0.25",
    ] {
        let config = trainer(&[setting]).config;
        let vm = ltm_engine::open(DeviceKind::Vm, 1).unwrap();
        let error = Trainer::new(vm, config).err().expect("a refusal").to_string();
        let named = setting.replace('=', " = ");
        assert!(error.contains(&named) && error.contains("--device cpu"), "{error}");
    }
}

/// Fresh noise takes no kernel of its own, and recordings hold none of it.
#[test]
fn fresh_noise_is_the_same_on_a_gpu() {
    let settings = ["posterior.noise=fresh", "fast.steps=3"];
    let expected = iterate(&settings, 3);
    let config = trainer(&settings).config;
    let mut on_gpu =
        Trainer::new(ltm_engine::open(DeviceKind::Vm, 2).unwrap(), config.clone()).unwrap();
    on_gpu.parameters.initialise(on_gpu.device.as_mut(), &config.model, 5).unwrap();
    let (tokens, targets) = batch();
    for (i, expected) in expected.iter().enumerate() {
        let found = on_gpu.iterate(i as u64, &tokens, &targets, &NEVER).unwrap();
        for (a, b) in found.fast_nll.iter().zip(&expected.fast_nll) {
            assert!((a - b).abs() < 1e-4, "iteration {i}: {a} against {b}");
        }
        assert!((found.loss - expected.loss).abs() < 1e-4);
    }
}
