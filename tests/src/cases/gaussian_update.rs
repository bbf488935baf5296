//! A whole fast update: KL, gradients, AdamW and the new draw.

use ltm_engine::ops::{AdamWStep, GaussianShape as Shape, GaussianUpdate};
use ltm_engine::{Buffer, Device, Result};

use super::gaussian::posterior;
use crate::numbers::{gaussians, normals};
use crate::reference::{adamw::State, gaussian};
use crate::{Arg, Case, Data, Expected, Format, Inputs, Role, Rounding};

/// Factor of the gradient of z.
pub const SCALE: f32 = 3.7;

/// Rows of the schedule before those of the sequences, which must not be read.
const BEFORE: usize = 2;

/// `gaussian_update`. The sequences are at different rows of the schedule, all of the same step.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Extents.
    pub shape: Shape,
    /// Number of the step, from 1.
    pub number: u64,
}

printed!(Update);

impl Update {
    /// Constants of the step.
    pub fn step(&self) -> AdamWStep {
        let number = self.number;
        AdamWStep { lr: 0.34, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, number }
    }

    /// Rows of the schedule.
    fn steps(&self) -> usize {
        BEFORE + 3.min(self.shape.samples.max(1))
    }

    /// The schedule, of which only the last rows hold the constants of the step.
    fn schedule(&self) -> Vec<f32> {
        let constants = self.step().constants().expect("a step from 1");
        let row = |row| if row < BEFORE { [f32::NAN; 9] } else { constants };
        (0..self.steps()).flat_map(row).collect()
    }

    /// Moments as earlier steps leave them: the second is positive. Zero before the first.
    fn moments(&self, seed: u64) -> Vec<f32> {
        let n = self.shape.len();
        if self.number == 1 {
            return vec![0.0; 2 * n];
        }
        let second = gaussians(seed + 1, n, 0.0, 0.5).iter().map(|x| 0.1 + x * x).collect();
        [gaussians(seed, n, 0.0, 0.3), second].concat()
    }
}

impl Case for Update {
    fn op(&self) -> &'static str {
        "gaussian_update"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let n = self.shape.len();
        let [mu, logvar, eps] = posterior(&self.shape);
        vec![
            format.input("d_z", normals(4, n)),
            Arg::input("eps", eps),
            Arg::updated("mu", mu),
            Arg::updated("logvar", logvar),
            Arg::updated("mu_moments", self.moments(5)),
            Arg::updated("logvar_moments", self.moments(7)),
            Arg::overwritten_f64("kl", self.shape.samples),
            format.overwritten("z", n),
            Arg::input("schedule", self.schedule()),
            Arg {
                name: "step",
                data: Data::I32((0..self.shape.samples).map(|s| (BEFORE + s % 3) as i32).collect()),
                role: Role::Input,
            },
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
            schedule: &b[8],
            step: &b[9],
            steps: self.steps(),
            shape: self.shape,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let s = &self.shape;
        let [d_z, mu, logvar, eps] = ["d_z", "mu", "logvar", "eps"].map(|n| inputs.numbers(n));
        let d_z: Vec<f64> = d_z.iter().map(|d| d * SCALE as f64).collect();
        let (d_mu, d_logvar) = gaussian::backward(&d_z, &mu, &logvar, &eps, s);
        let kl = gaussian::kl(&mu, &logvar, s);
        let stepped = |params, d: &[f64], moments| {
            let mut first = inputs.numbers(moments);
            let second = first.split_off(s.len());
            let mut state = State { params, first, second };
            state.step(d, &self.step(), |_| true);
            state
        };
        let mu = stepped(mu, &d_mu, "mu_moments");
        let logvar = stepped(logvar, &d_logvar, "logvar_moments");
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
