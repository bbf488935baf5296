//! The posterior: its draw, its KL and its gradients.

use ltm_engine::ops::{
    GaussianBackward, GaussianKl, GaussianReparameterise, GaussianShape as Shape,
};
use ltm_engine::{Buffer, Device, Result};

use crate::numbers::{gaussians, normals};
use crate::reference::{dot, gaussian};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// Those of the exponential and two operations.
const ROUNDINGS: f64 = 4.0;

/// `gaussian_reparameterise`.
#[derive(Clone, Copy, Debug)]
pub struct Reparameterise {
    /// Extents.
    pub shape: Shape,
}

/// `gaussian_kl`.
#[derive(Clone, Copy, Debug)]
pub struct Kl {
    /// Extents.
    pub shape: Shape,
}

/// `gaussian_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Extents.
    pub shape: Shape,
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

    fn args(&self, format: Format) -> Vec<Arg> {
        let [mu, logvar, eps] = posterior(&self.shape);
        vec![
            Arg::input("mu", mu),
            Arg::input("logvar", logvar),
            Arg::input("eps", eps),
            format.overwritten("z", self.shape.len()),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (mu, logvar, eps, z, shape) = (&b[0], &b[1], &b[2], &b[3], self.shape);
        device.gaussian_reparameterise(&GaussianReparameterise { mu, logvar, eps, z, shape })
    }

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let [mu, logvar, eps] = ["mu", "logvar", "eps"].map(|name| inputs.numbers(name));
        let z = gaussian::reparameterise(&mu, &logvar, &eps, &self.shape);
        vec![Expected::new(z, ROUNDINGS)]
    }
}

impl Case for Kl {
    fn op(&self) -> &'static str {
        "gaussian_kl"
    }

    fn args(&self, _: Format) -> Vec<Arg> {
        let [mu, logvar, _] = posterior(&self.shape);
        let kl = Arg::overwritten_f64("kl", self.shape.samples);
        vec![Arg::input("mu", mu), Arg::input("logvar", logvar), kl]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (mu, logvar, kl, shape) = (&b[0], &b[1], &b[2], self.shape);
        device.gaussian_kl(&GaussianKl { mu, logvar, kl, shape })
    }

    /// Summed in f64: far closer than one rounding of f32.
    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let (mu, logvar) = (inputs.numbers("mu"), inputs.numbers("logvar"));
        vec![Expected::new(gaussian::kl(&mu, &logvar, &self.shape), 1e-5)]
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "gaussian_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let [mu, logvar, eps] = posterior(&self.shape);
        vec![
            format.input("d_z", normals(4, self.shape.len())),
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

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let [d_z, mu, logvar, eps] = ["d_z", "mu", "logvar", "eps"].map(|n| inputs.numbers(n));
        let (d_mu, d_logvar) = gaussian::backward(&d_z, &mu, &logvar, &eps, &self.shape);
        vec![Expected::new(d_mu, ROUNDINGS), Expected::new(d_logvar, ROUNDINGS)]
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let s = &self.shape;
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let [d_z, mu, logvar, eps] = ["d_z", "mu", "logvar", "eps"].map(|n| inputs.numbers(n));
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
