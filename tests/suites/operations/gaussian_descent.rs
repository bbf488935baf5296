//! Fast updates by other rules, against other priors, and on points.

use ltm_engine::ops::{
    ADAMW_CONSTANTS, AdamWStep, DescentRule, GaussianDescent, GaussianPrior,
    GaussianShape as Shape, GaussianUpdate, KlTerm, Langevin,
};
use ltm_engine::{Buffer, DType, Device, DeviceExt, Error, Ops};
use ltm_tests::numbers::normals;

use crate::latent_prior::{inputs, kl};

const SHAPE: Shape = Shape { samples: 3, layers: 2, per_layer: 12 };
const WIDTH: usize = 4;
const STEPS: usize = 3;
const SCALE: f32 = 0.5;

/// Everything that an update works on.
struct State {
    device: ltm_engine::cpu::Cpu,
    d_z: Buffer,
    eps: Buffer,
    mu: Buffer,
    logvar: Buffer,
    moments: [Buffer; 2],
    kl: Buffer,
    z: Buffer,
    schedule: Buffer,
    step: Buffer,
    prior: [Buffer; 2],
}

fn step_at(number: u64) -> AdamWStep {
    let lr = 0.1 / number as f64;
    AdamWStep { lr, beta1: 0.8, beta2: 0.95, eps: 1e-8, weight_decay: 0.01, number }
}

impl State {
    fn new(threads: usize) -> Self {
        let mut device = ltm_tests::device(threads);
        let n = SHAPE.len();
        let [mu, logvar, mean, prior] = inputs(&SHAPE).map(|v| device.alloc_from(&v).unwrap());
        let constants = (1..=STEPS as u64).flat_map(|i| step_at(i).constants().unwrap());
        let schedule: Vec<f32> = constants.collect();
        assert_eq!(schedule.len(), STEPS * ADAMW_CONSTANTS);
        Self {
            d_z: device.alloc_from(&normals(5, n)).unwrap(),
            eps: device.alloc_from(&normals(6, n)).unwrap(),
            mu,
            logvar,
            moments: [(); 2].map(|()| device.alloc(DType::F32, 2 * n).unwrap()),
            kl: device.alloc(DType::F64, SHAPE.samples).unwrap(),
            z: device.alloc(DType::F32, n).unwrap(),
            schedule: device.alloc_from(&schedule).unwrap(),
            step: device.alloc_from(&[0i32, 1, 0]).unwrap(),
            prior: [mean, prior],
            device,
        }
    }

    fn update(&self) -> GaussianUpdate<'_> {
        GaussianUpdate {
            d_z: &self.d_z,
            d_z_scale: SCALE,
            eps: &self.eps,
            mu: &self.mu,
            logvar: &self.logvar,
            mu_moments: &self.moments[0],
            logvar_moments: &self.moments[1],
            kl: &self.kl,
            z: &self.z,
            schedule: &self.schedule,
            step: &self.step,
            steps: STEPS,
            shape: SHAPE,
        }
    }

    fn descend(&mut self, rule: DescentRule, term: (bool, f32, f64)) -> Result<(), Error> {
        let mut device = std::mem::replace(&mut self.device, ltm_tests::device(1));
        let (learned, weight, free) = term;
        let prior = GaussianPrior { mean: &self.prior[0], logvar: &self.prior[1] };
        let kl_term = KlTerm { prior: learned.then_some(prior), weight, free, width: WIDTH };
        let update = self.update();
        let result = device.gaussian_descent(&GaussianDescent { rule, kl_term, update });
        self.device = device;
        result
    }

    fn read(&mut self) -> [Vec<f32>; 5] {
        let [a, b] = &self.moments;
        [&self.mu, &self.logvar, &self.z, a, b].map(|buffer| self.device.read(buffer).unwrap())
    }

    fn kl(&mut self) -> Vec<f64> {
        self.device.read(&self.kl).unwrap()
    }
}

/// Number `at` of mu in the layer-major order of z.
fn layer_major(at: usize) -> usize {
    let (sample, own) = (at / SHAPE.per_sample(), at % SHAPE.per_sample());
    let (layer, inside) = (own / SHAPE.per_layer, own % SHAPE.per_layer);
    (layer * SHAPE.samples + sample) * SHAPE.per_layer + inside
}

/// mu, logvar and velocities of every number after `updates` updates at the same gradient of the
/// loss, in f64 and by the definitions.
fn expected(rule: DescentRule, term: (bool, f32, f64), updates: usize) -> Vec<[f64; 4]> {
    let (learned, weight, free) = term;
    let values = inputs(&SHAPE).map(|v| ltm_tests::numbers::widen(&v));
    let [d_z, eps] = [5, 6].map(|seed| ltm_tests::numbers::widen(&normals(seed, SHAPE.len())));
    let p = SHAPE.per_sample();
    let mut all: Vec<[f64; 4]> =
        (0..SHAPE.len()).map(|at| [values[0][at], values[1][at], 0.0, 0.0]).collect();
    let prior = |at: usize| match learned {
        true => (values[2][at % p], values[3][at % p]),
        false => (0.0, 0.0),
    };
    for _ in 0..updates {
        for vector in 0..all.len() / WIDTH {
            let numbers = vector * WIDTH..(vector + 1) * WIDTH;
            let of =
                |at: usize, all: &[[f64; 4]]| kl(all[at][0], all[at][1], prior(at).0, prior(at).1);
            let own: f64 = numbers.clone().map(|at| of(at, &all)).sum();
            let weight = if free == 0.0 || own > free { f64::from(weight) } else { 0.0 };
            for at in numbers {
                let lr = step_at([1, 2, 1][at / p]).lr;
                let [mu, logvar, v_mu, v_logvar] = all[at];
                let ((mean, prior), d) = (prior(at), f64::from(SCALE) * d_z[layer_major(at)]);
                let d_mu = d + weight * (mu - mean) / prior.exp();
                let d_logvar = d * eps[at] * 0.5 * (0.5 * logvar).exp()
                    + weight * 0.5 * ((logvar - prior).exp() - 1.0);
                all[at] = match rule {
                    DescentRule::Momentum => {
                        let (v_mu, v_logvar) = (0.8 * v_mu + d_mu, 0.8 * v_logvar + d_logvar);
                        [mu - lr * v_mu, logvar - lr * v_logvar, v_mu, v_logvar]
                    }
                    DescentRule::Natural => {
                        let (mu, g) = (mu - lr * logvar.exp() * d_mu, 2.0 * lr * d_logvar);
                        [mu, -((-logvar).exp() * (1.0 + g + g * g / 2.0)).ln(), 0.0, 0.0]
                    }
                    DescentRule::AdamW => unreachable!("compared with gaussian_update"),
                };
            }
        }
    }
    all
}

#[test]
fn momentum_and_natural_gradient_follow_their_definitions() {
    for rule in [DescentRule::Momentum, DescentRule::Natural] {
        for term in [(false, 1.0, 0.0), (true, 1.0, 0.0), (true, 0.3, 1.2), (false, 0.0, 0.0)] {
            let expected = expected(rule, term, 3);
            let mut state = State::new(2);
            (0..3).for_each(|_| state.descend(rule, term).unwrap());
            let [mu, logvar, z, ..] = state.read();
            let eps = normals(6, SHAPE.len());
            for (at, expected) in expected.iter().enumerate() {
                let draw = expected[0] + f64::from(eps[at]) * (0.5 * expected[1]).exp();
                for (found, expected) in
                    [(mu[at], expected[0]), (logvar[at], expected[1]), (z[layer_major(at)], draw)]
                {
                    let error = (f64::from(found) - expected).abs();
                    assert!(error < 1e-5, "{rule:?} {term:?} {at}: {found} against {expected}");
                }
            }
        }
    }
}

/// Gradients that would blow up a step in logvar itself leave finite numbers, and a variance at most
/// doubles in a step.
#[test]
fn natural_steps_stay_finite() {
    let mut state = State::new(1);
    for size in [1e3f32, -1e3, 1e8, -1e8] {
        let before = state.read()[1].clone();
        state.device.upload(&state.d_z, &vec![size; SHAPE.len()]).unwrap();
        state.descend(DescentRule::Natural, (false, 1.0, 0.0)).unwrap();
        let after = state.read();
        assert!(after.iter().flatten().all(|x| x.is_finite()), "{size}");
        for (before, after) in before.iter().zip(&after[1]) {
            assert!(after - before < 0.6932, "{size}: {before} to {after}");
        }
    }
}

/// Against N(0, I), unweighted, it is the update that there is a kernel for, bit for bit.
#[test]
fn adamw_against_the_standard_prior_is_gaussian_update() {
    let mut fused = State::new(2);
    let mut device = std::mem::replace(&mut fused.device, ltm_tests::device(1));
    device.gaussian_update(&fused.update()).unwrap();
    fused.device = device;
    let mut descent = State::new(2);
    descent.descend(DescentRule::AdamW, (false, 1.0, 0.0)).unwrap();
    assert_eq!(fused.read(), descent.read());
    for (a, b) in fused.kl().into_iter().zip(descent.kl()) {
        assert!((a - b).abs() < 1e-12 * a.abs(), "{a} and {b}");
    }
    // A prior that is not N(0, I) moves it elsewhere.
    descent = State::new(2);
    descent.descend(DescentRule::AdamW, (true, 1.0, 0.0)).unwrap();
    assert_ne!(fused.read()[0], descent.read()[0]);
}

/// At exactly the free nats, and below, a vector's KL moves nothing; above, it does. What is
/// reported is the true KL in either case.
#[test]
fn free_nats_end_at_the_boundary() {
    let mut state = State::new(1);
    let zero = vec![0.0f32; SHAPE.len()];
    // One number of each vector at 2: the vector's KL is 2 exactly, whose sum has no rounding.
    let mu: Vec<f32> = (0..SHAPE.len()).map(|i| if i % WIDTH == 0 { 2.0 } else { 0.0 }).collect();
    for (free, moves) in [(2.0 + 1e-9, false), (2.0, false), (2.0 - 1e-9, true), (0.0, true)] {
        for (buffer, values) in
            [(&state.d_z, &zero), (&state.logvar, &zero), (&state.mu, &mu), (&state.eps, &zero)]
        {
            state.device.upload(buffer, values).unwrap();
        }
        state.descend(DescentRule::Natural, (false, 1.0, free)).unwrap();
        assert_eq!(state.kl(), [2.0 * 6.0; 3], "free {free}");
        assert_eq!(state.read()[0] != mu, moves, "free {free}");
    }
}

/// On a quadratic loss of known curvature, in f64 and by equation 4; the noise is the argument's.
#[test]
fn langevin_steps_follow_equation_4() {
    let mut state = State::new(2);
    let [mu, _, mean, prior_logvar] = inputs(&SHAPE);
    let mut z: Vec<f64> = mu.iter().map(|&z| f64::from(z)).collect();
    let p = SHAPE.per_sample();
    for (round, learned) in [(0u64, true), (1, true), (2, false)] {
        // The loss is 1.5 z^2, so its gradient is 3 z, at half the scale.
        let mut d_z = vec![0.0f32; SHAPE.len()];
        z.iter().enumerate().for_each(|(at, z)| d_z[layer_major(at)] = (6.0 * z) as f32);
        let noise = normals(9 + round, SHAPE.len());
        state.device.upload(&state.d_z, &d_z).unwrap();
        state.device.upload(&state.eps, &noise).unwrap();
        let prior = GaussianPrior { mean: &state.prior[0], logvar: &state.prior[1] };
        state
            .device
            .langevin(&Langevin {
                d_z: &state.d_z,
                d_z_scale: SCALE,
                prior: learned.then_some(prior),
                weight: 1.0,
                noise: &state.eps,
                point: &state.mu,
                neg_log_prior: &state.kl,
                z: &state.z,
                schedule: &state.schedule,
                step: &state.step,
                steps: STEPS,
                shape: SHAPE,
            })
            .unwrap();
        let mut density = vec![0.0; SHAPE.samples];
        for (at, z) in z.iter_mut().enumerate() {
            let (m, lv) = match learned {
                true => (f64::from(mean[at % p]), f64::from(prior_logvar[at % p])),
                false => (0.0, 0.0),
            };
            let pull = (*z - m) / lv.exp();
            density[at / p] += 0.5 * ((*z - m) * pull + lv + std::f64::consts::TAU.ln());
            let s = step_at([1, 2, 1][at / p]).lr;
            *z += s * (-3.0 * *z - pull) + (2.0 * s).sqrt() * f64::from(noise[at]);
        }
        let [point, _, layers, ..] = state.read();
        for (at, z) in z.iter().enumerate() {
            assert!((f64::from(point[at]) - z).abs() < 1e-5, "{at}: {} against {z}", point[at]);
            assert_eq!(layers[layer_major(at)], point[at]);
        }
        for (found, expected) in state.kl().into_iter().zip(density) {
            assert!((found - expected).abs() < 1e-5 * expected.abs(), "{found} {expected}");
        }
    }
}

#[test]
fn malformed_calls_are_refused() {
    let mut state = State::new(1);
    for term in [(false, f32::NAN, 0.0), (false, -1.0, 0.0), (true, 1.0, -0.5)] {
        let result = state.descend(DescentRule::Natural, term);
        assert!(matches!(result, Err(Error::Value { .. })), "{term:?}");
    }
    state.device.upload(&state.step, &[0, 3, 0]).unwrap();
    let result = state.descend(DescentRule::Momentum, (false, 1.0, 0.0));
    assert!(matches!(result, Err(Error::Value { .. })));
    state.prior[0] = state.mu.slice(0..SHAPE.per_sample()).unwrap();
    let result = state.descend(DescentRule::Momentum, (true, 1.0, 0.0));
    assert!(matches!(result, Err(Error::Overlap { .. })));
}

/// A GPU says what it lacks, and what to do.
#[test]
fn a_gpu_has_no_kernel_yet() {
    let mut gpu = ltm_engine::open(ltm_engine::DeviceKind::Vm, 1).unwrap();
    let mu = gpu.alloc(DType::F32, 4).unwrap();
    let kl = gpu.alloc(DType::F64, 1).unwrap();
    let shape = Shape { samples: 1, layers: 1, per_layer: 4 };
    let args =
        ltm_engine::ops::PriorDivergence { mu: &mu, logvar: None, prior: None, kl: &kl, shape };
    let error = gpu.prior_divergence(&args).unwrap_err().to_string();
    assert!(error.contains("prior_divergence") && error.contains("--device cpu"), "{error}");
}
