//! The posterior: its draw, its KL and its gradients.

use ltm_engine::ops::{
    GaussianBackward, GaussianKl, GaussianReparameterise, GaussianShape as Shape,
};
use ltm_engine::{Buffer, Device, Result};
use ltm_tests::numbers::{gaussians, normals, widen};
use ltm_tests::reference::{dot, gaussian};
use ltm_tests::{Arg, Case, Derivative, Expected, refuses, verify};

/// Those of the exponential and two operations.
const ROUNDINGS: f64 = 4.0;

#[derive(Clone, Copy, Debug)]
struct Reparameterise {
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Kl {
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Backward {
    shape: Shape,
}

printed!(Reparameterise, Kl, Backward);

/// mu, logvar and eps, at the size at which they start.
pub fn posterior(s: &Shape) -> [Vec<f32>; 3] {
    let n = s.len();
    [normals(1, n), gaussians(2, n, -1.0, 1.0), normals(3, n)]
}

impl Case for Reparameterise {
    fn op(&self) -> &'static str {
        "gaussian_reparameterise"
    }

    fn args(&self) -> Vec<Arg> {
        let [mu, logvar, eps] = posterior(&self.shape);
        vec![
            Arg::input("mu", mu),
            Arg::input("logvar", logvar),
            Arg::input("eps", eps),
            Arg::overwritten("z", self.shape.len()),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (mu, logvar, eps, z, shape) = (&b[0], &b[1], &b[2], &b[3], self.shape);
        device.gaussian_reparameterise(&GaussianReparameterise { mu, logvar, eps, z, shape })
    }

    fn expected(&self) -> Vec<Expected> {
        let [mu, logvar, eps] = posterior(&self.shape).map(|v| widen(&v));
        let z = gaussian::reparameterise(&mu, &logvar, &eps, &self.shape);
        vec![Expected::new(z, ROUNDINGS)]
    }
}

impl Case for Kl {
    fn op(&self) -> &'static str {
        "gaussian_kl"
    }

    fn args(&self) -> Vec<Arg> {
        let [mu, logvar, _] = posterior(&self.shape);
        let kl = Arg::overwritten_f64("kl", self.shape.samples);
        vec![Arg::input("mu", mu), Arg::input("logvar", logvar), kl]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (mu, logvar, kl, shape) = (&b[0], &b[1], &b[2], self.shape);
        device.gaussian_kl(&GaussianKl { mu, logvar, kl, shape })
    }

    /// Summed in f64: far closer than one rounding of f32.
    fn expected(&self) -> Vec<Expected> {
        let [mu, logvar, _] = posterior(&self.shape).map(|v| widen(&v));
        vec![Expected::new(gaussian::kl(&mu, &logvar, &self.shape), 1e-5)]
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "gaussian_backward"
    }

    fn args(&self) -> Vec<Arg> {
        let [mu, logvar, eps] = posterior(&self.shape);
        vec![
            Arg::input("d_z", normals(4, self.shape.len())),
            Arg::input("mu", mu),
            Arg::input("logvar", logvar),
            Arg::input("eps", eps),
            Arg::overwritten("d_mu", self.shape.len()),
            Arg::overwritten("d_logvar", self.shape.len()),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.gaussian_backward(&GaussianBackward {
            d_z: &b[0],
            mu: &b[1],
            logvar: &b[2],
            eps: &b[3],
            d_mu: &b[4],
            d_logvar: &b[5],
            shape: self.shape,
        })
    }

    fn expected(&self) -> Vec<Expected> {
        let Derivative { gradients, .. } = self.derivative().expect("a gradient");
        gradients.into_iter().map(|g| Expected::new(g, ROUNDINGS)).collect()
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let s = &self.shape;
        let [mu, logvar, eps] = posterior(s).map(|v| widen(&v));
        let d_z = widen(&normals(4, s.len()));
        let (d_mu, d_logvar) = gaussian::backward(&d_z, &mu, &logvar, &eps, s);
        let value = move |at: &[Vec<f64>]| {
            let z = gaussian::reparameterise(&at[0], &at[1], &eps, s);
            dot(&z, &d_z) + gaussian::kl(&at[0], &at[1], s).iter().sum::<f64>()
        };
        Some(Derivative {
            at: vec![mu, logvar],
            value: Box::new(value),
            gradients: vec![d_mu, d_logvar],
        })
    }
}

/// One and several samples and layers, of one number to more than a thousand.
pub fn shapes() -> impl Iterator<Item = Shape> {
    [(1, 1), (1, 3), (4, 1), (7, 2), (3, 5)].into_iter().flat_map(|(samples, layers)| {
        [1, 6, 130, 1003].map(|per_layer| Shape { samples, layers, per_layer })
    })
}

#[test]
fn draws_are_correct() {
    verify(shapes().map(|shape| Reparameterise { shape }));
}

#[test]
fn kl_is_correct() {
    verify(shapes().map(|shape| Kl { shape }));
}

#[test]
fn gradients_are_correct() {
    verify(shapes().map(|shape| Backward { shape }));
}

/// At the prior itself the KL is zero, and near it its terms cancel.
#[test]
fn kl_near_the_prior_keeps_its_digits() {
    use ltm_engine::{DType, DeviceExt, Ops};
    let mut device = ltm_tests::device(1);
    let shape = Shape { samples: 2, layers: 1, per_layer: 2 };
    let mu = device.alloc_from(&[0.0f32, 0.0, 1e-4, 0.0]).unwrap();
    let logvar = device.alloc_from(&[0.0f32, 0.0, 0.0, 1e-3]).unwrap();
    let kl = device.alloc(DType::F64, 2).unwrap();
    device.gaussian_kl(&GaussianKl { mu: &mu, logvar: &logvar, kl: &kl, shape }).unwrap();
    let kl = device.read::<f64>(&kl).unwrap();
    // e^x - x - 1 = x^2 / 2 + x^3 / 6 + ...
    let exact = 0.5 * (1e-8 + 5e-7 + 1e-9 / 6.0);
    assert_eq!(kl[0], 0.0);
    assert!((kl[1] - exact).abs() < 1e-6 * exact, "{} and {exact}", kl[1]);
}

/// A sample without latents is the prior: its KL is zero.
#[test]
fn no_latents_have_no_kl() {
    for shape in [
        Shape { samples: 0, layers: 2, per_layer: 3 },
        Shape { samples: 2, layers: 0, per_layer: 3 },
        Shape { samples: 2, layers: 2, per_layer: 0 },
    ] {
        use ltm_engine::{DeviceExt, Ops};
        let mut device = ltm_tests::device(1);
        let none = device.alloc_from::<f32>(&[]).unwrap();
        let kl = device.alloc_from(&vec![f64::NAN; shape.samples]).unwrap();
        device.gaussian_kl(&GaussianKl { mu: &none, logvar: &none, kl: &kl, shape }).unwrap();
        assert_eq!(device.read::<f64>(&kl).unwrap(), vec![0.0; shape.samples]);
    }
}

#[test]
fn malformed_calls_are_refused() {
    let shape = Shape { samples: 2, layers: 2, per_layer: 3 };
    refuses(&Reparameterise { shape });
    refuses(&Kl { shape });
    refuses(&Backward { shape });
}
