//! A model whose z is two numbers, so that `p(x) = integral of p(x|z) p(z) dz` can be summed up.

use super::causal::measurement;
use super::*;
use crate::config::PriorKind;
use crate::evaluate::{Averages, Measurement, Portion, Subject, View, measure};

const SEQ: usize = LENGTH;

/// A single latent vector of width 2.
fn small() -> Trainer {
    small_with(PriorKind::Standard)
}

/// Mean and log variance of the prior, where it is learned.
const PRIOR: [[f32; 2]; 2] = [[0.6, -0.4], [0.3, -0.5]];

fn small_with(prior: PriorKind) -> Trainer {
    let mut config = config();
    config.model.prior = prior;
    let model = &mut config.model;
    (model.dim, model.layers, model.heads, model.latents) = (2, 1, 1, 1);
    // A posterior that ends wide enough to reach all of p(z|x).
    (config.fast.steps, config.fast.lr) = (16, 0.1);
    config.posterior.logvar_mean = 0.0;
    let mut trainer = Trainer::new(Box::new(Cpu::new(1).unwrap()), config).unwrap();
    let model = &trainer.config.model;
    trainer.parameters.initialise(trainer.device.as_mut(), model, 3).unwrap();
    // Beyond the small initial matrices, so that z matters.
    for entry in trainer.parameters.layout.entries().to_vec() {
        if !entry.name.ends_with("norm.weight") {
            let weights = trainer.parameters.values.slice(entry.range).unwrap();
            let mut values: Vec<f32> = trainer.device.read(&weights).unwrap();
            values.iter_mut().for_each(|value| *value *= 30.0);
            trainer.device.upload(&weights, &values).unwrap();
        }
    }
    if let Some(ranges) = trainer.parameters.layout.prior() {
        for (range, values) in ranges.into_iter().zip(&PRIOR) {
            trainer.parameters.set(trainer.device.as_mut(), range, values).unwrap();
        }
    }
    trainer
}

/// `-log p(x)` of a window, nats per token: the trapezium rule over a square that holds all but
/// 1e-8 of the prior, twelve points a deviation, which for a smooth integrand is exact in f32.
fn exact(trainer: &mut Trainer, window: u64) -> f64 {
    const POINTS: usize = 145;
    const STEP: f32 = 1.0 / 12.0;
    let prior = match trainer.config.model.prior {
        PriorKind::Standard => [[0.0; 2]; 2],
        PriorKind::Learned => PRIOR,
    };
    let Trainer { device, config, parameters, .. } = trainer;
    let shape = BatchShape { batch: POINTS, seq: SEQ };
    let mut evaluator = Evaluator::new(device.as_mut(), config, parameters, shape).unwrap();
    let at = |index: usize| (index as f32 - (POINTS / 2) as f32) * STEP;
    let mut scorer = Scorer::new(evaluator.on(device.as_mut()), config, &config.fast, &GO);
    scorer.read(&Numbered::default(), &[window], SEQ).unwrap();
    scorer.begin().unwrap();
    let mut terms = Vec::new();
    for row in 0..POINTS {
        let z: Vec<f32> = (0..POINTS).flat_map(|column| [at(row), at(column)]).collect();
        let Apparatus { device, workspace, .. } = scorer.on();
        device.upload(&workspace.z, &z).unwrap();
        let nll = scorer.token_nll().unwrap();
        for (z, nll) in z.chunks_exact(2).zip(nll.chunks_exact(SEQ)) {
            let term = |i: usize| {
                let (mean, logvar) = (f64::from(prior[0][i]), f64::from(prior[1][i]));
                (f64::from(z[i]) - mean).powi(2) / logvar.exp() + logvar
            };
            let log_prior = -0.5 * (term(0) + term(1)) - std::f64::consts::TAU.ln();
            terms.push(log_prior - nll.iter().map(|&x| f64::from(x)).sum::<f64>());
        }
    }
    let integral = log_mean_exp(&terms) + (terms.len() as f64).ln() + 2.0 * f64::from(STEP).ln();
    -integral / SEQ as f64
}

fn averages(trainer: &mut Trainer, view: View, samples: usize) -> Averages {
    let Trainer { device, config, parameters, .. } = trainer;
    let mut subject = Subject { device: device.as_mut(), config, parameters };
    let source = Box::new(Numbered::default());
    let portion = Portion { source, seq: SEQ, windows: vec![4; 16] };
    let how = Measurement { batch: 16, ..measurement(view, samples) };
    Averages::of(&measure(&mut subject, &[portion], &how).unwrap().sequences)
}

/// Sixteen independent estimates of one window's likelihood.
#[test]
fn the_importance_weighted_bound_tends_to_the_exact_likelihood() {
    let mut trainer = small();
    let exact = exact(&mut trainer, 4);
    let found = [1, 8, 512].map(|samples| averages(&mut trainer, View::All, samples));
    let gaps = found.map(|found| found.importance_bound.unwrap() - exact);
    assert!(gaps[0] > 0.03, "z must matter for this to be a test: {gaps:?}");
    assert!(gaps[0] > gaps[1] && gaps[1] > gaps[2] && gaps[2].abs() < 3e-3, "{gaps:?}");
    // One draw is the bound itself, in expectation.
    let bound = found[2].fresh_bound.unwrap() - exact;
    assert!((gaps[0] - bound).abs() < 0.02, "{} against {bound}", gaps[0]);
}

/// Draws from the prior estimate the same likelihood.
#[test]
fn draws_from_the_prior_tend_to_the_exact_likelihood() {
    let mut trainer = small();
    let exact = exact(&mut trainer, 4);
    let gaps = [1, 16, 1024].map(|n| averages(&mut trainer, View::Prior, n).bound - exact);
    assert!(gaps[0] > gaps[1] && gaps[1] > gaps[2] && gaps[2].abs() < 3e-3, "{gaps:?}");
}

/// A learned prior is what z is drawn from, and what a draw of the posterior is weighed against.
#[test]
fn both_tend_to_the_exact_likelihood_under_a_learned_prior() {
    let mut trainer = small_with(PriorKind::Learned);
    let exact = exact(&mut trainer, 4);
    let drawn = averages(&mut trainer, View::Prior, 1024).bound;
    let weighed = averages(&mut trainer, View::All, 512).importance_bound.unwrap();
    let gaps = [drawn - exact, weighed - exact];
    assert!(gaps.iter().all(|gap| gap.abs() < 3e-3), "{gaps:?}");
    let standard = averages(&mut small(), View::Prior, 1024).bound;
    assert!((standard - exact).abs() > 0.01, "the prior must matter for this to be a test");
}

/// Without a posterior there is no bound: one of another method is fitted.
#[test]
fn a_model_of_points_is_evaluated_by_adamw() {
    let mut trainer = small();
    let expected = averages(&mut trainer, View::All, 8);
    trainer.config.fast.method = crate::config::Method::Langevin;
    assert_eq!(averages(&mut trainer, View::All, 8), expected);
}
