//! A whole fast update: KL, gradients, AdamW and the new draw.

use ltm_engine::ops::{
    AdamW, AdamWSegment, AdamWStep, GaussianBackward, GaussianKl, GaussianReparameterise,
    GaussianShape as Shape, GaussianUpdate,
};
use ltm_engine::{Buffer, DType, Device, DeviceExt, Ops, Result};
use ltm_tests::numbers::{gaussians, normals, widen};
use ltm_tests::reference::{adamw::State, gaussian};
use ltm_tests::{Arg, Case, Expected, refuses, refuses_value, verify};

use crate::gaussian::{posterior, shapes};

/// Factor of the gradient of z.
const SCALE: f32 = 3.7;

#[derive(Clone, Copy, Debug)]
struct Update {
    shape: Shape,
    number: u64,
}

printed!(Update);

impl Update {
    fn step(&self) -> AdamWStep {
        let number = self.number;
        AdamWStep { lr: 0.34, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, number }
    }

    /// Moments as earlier steps leave them: the second is positive. Zero before the first.
    fn moments(&self, seed: u64) -> [Vec<f32>; 2] {
        let n = self.shape.len();
        if self.number == 1 {
            return [vec![0.0; n], vec![0.0; n]];
        }
        let second = gaussians(seed + 1, n, 0.0, 0.5).iter().map(|x| 0.1 + x * x).collect();
        [gaussians(seed, n, 0.0, 0.3), second]
    }
}

impl Case for Update {
    fn op(&self) -> &'static str {
        "gaussian_update"
    }

    fn args(&self) -> Vec<Arg> {
        let n = self.shape.len();
        let [mu, logvar, eps] = posterior(&self.shape);
        vec![
            Arg::input("d_z", normals(4, n)),
            Arg::input("eps", eps),
            Arg::updated("mu", mu),
            Arg::updated("logvar", logvar),
            Arg::updated("mu_moments", self.moments(5).concat()),
            Arg::updated("logvar_moments", self.moments(7).concat()),
            Arg::overwritten_f64("kl", self.shape.samples),
            Arg::overwritten("z", n),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.gaussian_update(&GaussianUpdate {
            d_z: &b[0],
            d_z_scale: SCALE,
            eps: &b[1],
            mu: &b[2],
            logvar: &b[3],
            mu_moments: &b[4],
            logvar_moments: &b[5],
            kl: &b[6],
            z: &b[7],
            step: self.step(),
            shape: self.shape,
        })
    }

    fn expected(&self) -> Vec<Expected> {
        let s = &self.shape;
        let [mu, logvar, eps] = posterior(s).map(|v| widen(&v));
        let d_z: Vec<f64> = normals(4, s.len()).iter().map(|&d| d as f64 * SCALE as f64).collect();
        let (d_mu, d_logvar) = gaussian::backward(&d_z, &mu, &logvar, &eps, s);
        let kl = gaussian::kl(&mu, &logvar, s);
        let [mu, logvar] = [(mu, d_mu, 5), (logvar, d_logvar, 7)].map(|(params, d, seed)| {
            let [first, second] = self.moments(seed).map(|v| widen(&v));
            let mut state = State { params, first, second };
            state.step(&d, &self.step(), |_| true);
            state
        });
        let z = gaussian::reparameterise(&mu.params, &logvar.params, &eps, s);
        let moments = |state: &State| [state.first.clone(), state.second.clone()].concat();
        vec![
            Expected::new(mu.params.clone(), 16.0),
            Expected::new(logvar.params.clone(), 16.0),
            Expected::new(moments(&mu), 8.0),
            Expected::new(moments(&logvar), 8.0),
            Expected::new(kl, 1e-5),
            Expected::new(z, 16.0),
        ]
    }
}

#[test]
fn updates_are_correct() {
    verify(shapes().flat_map(|shape| [1, 2, 16].map(|number| Update { shape, number })));
}

/// The fused update is the operations that it fuses, bit for bit.
#[test]
fn an_update_is_backward_adamw_and_draw() {
    let case = Update { shape: Shape { samples: 3, layers: 2, per_layer: 130 }, number: 5 };
    let (shape, n) = (case.shape, case.shape.len());
    let mut device = ltm_tests::device(2);
    let upload = |device: &mut dyn Device, arg: &Arg| {
        let buffer = device.alloc(arg.data.dtype(), arg.data.len()).unwrap();
        device.upload_bytes(&buffer, &arg.data.bytes()).unwrap();
        buffer
    };
    let fused: Vec<Buffer> = case.args().iter().map(|arg| upload(&mut device, arg)).collect();
    case.call(&mut device, &fused).unwrap();

    let parts: Vec<Buffer> = case.args().iter().map(|arg| upload(&mut device, arg)).collect();
    let [_, eps, mu, logvar, mu_moments, logvar_moments, kl, z] = &parts[..] else {
        unreachable!("eight arguments")
    };
    let scaled: Vec<f32> = normals(4, n).iter().map(|d| d * SCALE).collect();
    let d_z = &device.alloc_from(&scaled).unwrap();
    let d_mu = &device.alloc(DType::F32, n).unwrap();
    let d_logvar = &device.alloc(DType::F32, n).unwrap();
    device.gaussian_kl(&GaussianKl { mu, logvar, kl, shape }).unwrap();
    device
        .gaussian_backward(&GaussianBackward { d_z, mu, logvar, eps, d_mu, d_logvar, shape })
        .unwrap();
    for (params, gradients, moments) in [(mu, d_mu, mu_moments), (logvar, d_logvar, logvar_moments)]
    {
        device
            .adamw(&AdamW {
                params,
                gradients,
                first_moment: &moments.slice(0..n).unwrap(),
                second_moment: &moments.slice(n..2 * n).unwrap(),
                copy: None,
                clip: None,
                segments: &[AdamWSegment { offset: 0, len: n, decay: true }],
                step: case.step(),
            })
            .unwrap();
    }
    device.gaussian_reparameterise(&GaussianReparameterise { mu, logvar, eps, z, shape }).unwrap();
    for (arg, (fused, part)) in case.args().iter().zip(fused.iter().zip(&parts)).skip(2) {
        let mut bytes = [vec![0; fused.byte_len()], vec![0; part.byte_len()]];
        device.download_bytes(fused, &mut bytes[0]).unwrap();
        device.download_bytes(part, &mut bytes[1]).unwrap();
        assert!(bytes[0] == bytes[1], "{} differs", arg.name);
    }
}

#[test]
fn malformed_calls_are_refused() {
    let shape = Shape { samples: 2, layers: 2, per_layer: 3 };
    refuses(&Update { shape, number: 2 });
    let case = Update { shape, number: 0 };
    refuses_value(&case, &case.args());
}
