//! A learned prior: divergences from it, and its gradient.

use std::f64::consts::TAU;

use ltm_engine::ops::{
    GaussianKl, GaussianPrior, GaussianShape as Shape, KlTerm, PriorBackward, PriorDivergence,
};
use ltm_engine::{Buffer, DType, Device, DeviceExt, Error, Ops};
use ltm_tests::numbers::{gaussians, normals};

const SHAPE: Shape = Shape { samples: 3, layers: 2, per_layer: 12 };
const WIDTH: usize = 4;

/// mu, logvar and both of the prior.
pub fn inputs(shape: &Shape) -> [Vec<f32>; 4] {
    let (n, p) = (shape.len(), shape.per_sample());
    [
        normals(1, n),
        gaussians(2, n, -1.0, 0.7),
        gaussians(3, p, 0.2, 0.5),
        gaussians(4, p, 0.3, 0.4),
    ]
}

/// KL of one latent number, in f64.
pub fn kl(mu: f64, logvar: f64, mean: f64, prior: f64) -> f64 {
    0.5 * (prior - logvar + (logvar.exp() + (mu - mean).powi(2)) / prior.exp() - 1.0)
}

fn divergence(
    device: &mut dyn Device,
    (mu, logvar): (&Buffer, Option<&Buffer>),
    prior: Option<GaussianPrior<'_>>,
) -> Vec<f64> {
    let kl = &device.alloc(DType::F64, SHAPE.samples).unwrap();
    device.prior_divergence(&PriorDivergence { mu, logvar, prior, kl, shape: SHAPE }).unwrap();
    device.read(kl).unwrap()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs();
        assert!(error <= tolerance * expected.abs().max(1e-3), "{found} against {expected}");
    }
}

#[test]
fn divergences_are_the_definitions() {
    let values = inputs(&SHAPE);
    for threads in [1, 2] {
        let mut device = ltm_tests::device(threads);
        let [mu, logvar, mean, prior_logvar] =
            values.each_ref().map(|values| device.alloc_from(values).unwrap());
        let prior = GaussianPrior { mean: &mean, logvar: &prior_logvar };
        let p = SHAPE.per_sample();
        let sums = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..SHAPE.samples).map(|s| (0..p).map(|i| f(s * p + i, i)).sum()).collect()
        };
        let [m, lv, pm, plv] = values.each_ref().map(|v| move |i: usize| f64::from(v[i]));
        let expected = sums(&|at, i| kl(m(at), lv(at), pm(i), plv(i)));
        let found = divergence(&mut device, (&mu, Some(&logvar)), Some(prior));
        assert_close(&found, &expected, 1e-12);
        let expected =
            sums(&|at, i| 0.5 * ((m(at) - pm(i)).powi(2) / plv(i).exp() + plv(i) + TAU.ln()));
        let found = divergence(&mut device, (&mu, None), Some(prior));
        assert_close(&found, &expected, 1e-12);
        let expected = sums(&|at, _| 0.5 * (m(at).powi(2) + TAU.ln()));
        assert_close(&divergence(&mut device, (&mu, None), None), &expected, 1e-12);
        let (standard, shape) = (device.alloc(DType::F64, SHAPE.samples).unwrap(), SHAPE);
        let args = GaussianKl { mu: &mu, logvar: &logvar, kl: &standard, shape };
        device.gaussian_kl(&args).unwrap();
        let standard: Vec<f64> = device.read(&standard).unwrap();
        assert_close(&divergence(&mut device, (&mu, Some(&logvar)), None), &standard, 1e-12);
    }
}

/// Of `scale * weight * sum max(free, kl_j)`, by central differences in f64.
#[test]
fn the_gradient_is_that_of_the_weighted_kl() {
    let [mu, logvar, mean, prior_logvar] = inputs(&SHAPE);
    let (p, scale, weight) = (SHAPE.per_sample(), 0.25, 0.5);
    let own_kl = |vector: usize, mean: &[f64], prior: &[f64]| -> f64 {
        let numbers = vector * WIDTH..(vector + 1) * WIDTH;
        let term = |at: usize| {
            let (mu, logvar) = (f64::from(mu[at]), f64::from(logvar[at]));
            kl(mu, logvar, mean[at % p], prior[at % p])
        };
        numbers.map(term).sum()
    };
    let [mean64, prior64] = [&mean, &prior_logvar].map(|v| ltm_tests::numbers::widen(v));
    let kls: Vec<f64> =
        (0..SHAPE.len() / WIDTH).map(|vector| own_kl(vector, &mean64, &prior64)).collect();
    let mut sorted = kls.clone();
    sorted.sort_by(f64::total_cmp);
    for free in [0.0, 0.5 * (sorted[8] + sorted[9])] {
        let loss = |mean: &[f64], prior: &[f64]| -> f64 {
            let cost = |vector| own_kl(vector, mean, prior).max(free);
            scale * weight * (0..kls.len()).map(cost).sum::<f64>()
        };
        let central = |of_mean: bool, i: usize| {
            let moved = |by: f64| {
                let (mut mean, mut prior) = (mean64.clone(), prior64.clone());
                *(if of_mean { &mut mean } else { &mut prior }).get_mut(i).unwrap() += by;
                loss(&mean, &prior)
            };
            (moved(1e-6) - moved(-1e-6)) / 2e-6
        };
        let mut device = ltm_tests::device(2);
        let [m, lv, pm, plv] = [&mu, &logvar, &mean, &prior_logvar]
            .map(|values| device.alloc_from(&values[..]).unwrap());
        let d: [Buffer; 2] = [(); 2].map(|()| device.alloc_from(&vec![0.5f32; p]).unwrap());
        let prior = Some(GaussianPrior { mean: &pm, logvar: &plv });
        device
            .prior_backward(&PriorBackward {
                mu: &m,
                logvar: Some(&lv),
                kl_term: KlTerm { prior, weight: weight as f32, free, width: WIDTH },
                scale: scale as f32,
                d_mean: &d[0],
                d_logvar: &d[1],
                shape: SHAPE,
            })
            .unwrap();
        for (of_mean, d) in [(true, &d[0]), (false, &d[1])] {
            let found: Vec<f32> = device.read(d).unwrap();
            for (i, found) in found.into_iter().enumerate() {
                // It is added to the 0.5 that was there.
                let (found, expected) = (f64::from(found) - 0.5, central(of_mean, i));
                assert!((found - expected).abs() < 1e-6, "{of_mean} {i}: {found} {expected}");
            }
        }
    }
}

#[test]
fn the_gradient_of_a_point_is_that_of_its_density() {
    let [mu, _, mean, prior_logvar] = inputs(&SHAPE);
    let p = SHAPE.per_sample();
    let mut device = ltm_tests::device(1);
    let [m, pm, plv] =
        [&mu, &mean, &prior_logvar].map(|values| device.alloc_from(&values[..]).unwrap());
    let d: [Buffer; 2] = [(); 2].map(|()| device.alloc(DType::F32, p).unwrap());
    let prior = Some(GaussianPrior { mean: &pm, logvar: &plv });
    let args = |free| PriorBackward {
        mu: &m,
        logvar: None,
        kl_term: KlTerm { prior, weight: 1.0, free, width: WIDTH },
        scale: 1.0,
        d_mean: &d[0],
        d_logvar: &d[1],
        shape: SHAPE,
    };
    device.prior_backward(&args(0.0)).unwrap();
    let [d_mean, d_logvar]: [Vec<f32>; 2] = d.each_ref().map(|d| device.read(d).unwrap());
    for i in 0..p {
        let (mean, logvar) = (f64::from(mean[i]), f64::from(prior_logvar[i]));
        let distances = (0..SHAPE.samples).map(|s| mean - f64::from(mu[s * p + i]));
        let first: f64 = distances.clone().map(|d| d / logvar.exp()).sum();
        let second: f64 = distances.map(|d| 0.5 * (1.0 - d * d / logvar.exp())).sum();
        assert!((f64::from(d_mean[i]) - first).abs() < 1e-5 * first.abs().max(1.0));
        assert!((f64::from(d_logvar[i]) - second).abs() < 1e-5 * second.abs().max(1.0));
    }
    assert!(matches!(device.prior_backward(&args(0.1)), Err(Error::Value { .. })));
}

#[test]
fn malformed_calls_are_refused() {
    let mut device = ltm_tests::device(1);
    let [mu, logvar, mean, prior_logvar] =
        inputs(&SHAPE).map(|values| device.alloc_from(&values).unwrap());
    let kl = &device.alloc(DType::F64, SHAPE.samples).unwrap();
    let short = GaussianPrior { mean: &mean.slice(1..24).unwrap(), logvar: &prior_logvar };
    let (mu, logvar, shape) = (&mu, Some(&logvar), SHAPE);
    let args = PriorDivergence { mu, logvar, prior: Some(short), kl, shape };
    assert!(matches!(device.prior_divergence(&args), Err(Error::Extent { .. })));
    let p = GaussianPrior { mean: &mean, logvar: &prior_logvar };
    let backward = |prior, width, d_mean| PriorBackward {
        mu,
        logvar,
        kl_term: KlTerm { prior, weight: 1.0, free: 0.0, width },
        scale: 1.0,
        d_mean,
        d_logvar: &prior_logvar,
        shape,
    };
    let d_mean = &device.alloc(DType::F32, 24).unwrap();
    for (prior, width) in [(None, 4), (Some(p), 0), (Some(p), 5)] {
        let result = device.prior_backward(&backward(prior, width, d_mean));
        assert!(matches!(result, Err(Error::Value { .. })), "{width}");
    }
    let result = device.prior_backward(&backward(Some(p), 4, &mean));
    assert!(matches!(result, Err(Error::Overlap { .. })));
}
