//! Cross-entropy and the Gaussian posterior.

use ltm_engine::ops::*;
use ltm_engine::{DType, DeviceExt};

use super::Case;
use crate::parity::Result;

impl Case<'_, '_> {
    /// With the identity as projection the hidden states are the logits.
    pub(super) fn cross_entropy(&mut self) -> Result<()> {
        let [rows, vocab] = self.axes("logits")?;
        let mut identity = vec![0.0f32; vocab * vocab];
        identity.iter_mut().step_by(vocab + 1).for_each(|x| *x = 1.0);
        let weight = self.device.alloc_from(&identity)?;
        let (hidden, targets) = (self.input("logits")?, self.integers("targets")?);
        let kept = self.device.read::<i32>(&targets)?.iter().filter(|&&t| t >= 0).count() as f64;
        let (token_nll, logsumexp) = (self.output(rows)?, self.output(rows)?);
        let d_hidden = self.output(rows * vocab)?;
        let d_weight = self.output(vocab * vocab)?;
        for (part, scale) in [("grad_of_sum", 1.0), ("grad_of_mean", 1.0 / kept)] {
            // Both algorithms of a backend: with and without the gradient of the projection.
            for d_weight in [None, Some(&d_weight)] {
                self.device.linear_cross_entropy(&LinearCrossEntropy {
                    hidden: &hidden,
                    weight: &weight,
                    targets: &targets,
                    token_nll: &token_nll,
                    logsumexp: &logsumexp,
                    d_hidden: Some(&d_hidden),
                    d_weight,
                    scale: scale as f32,
                    rows,
                    width: vocab,
                    vocab,
                })?;
                self.compare(&format!("{part}.logits"), &d_hidden)?;
                self.compare("out.token_nll", &token_nll)?;
            }
        }
        let sum: f64 = self.device.read::<f32>(&token_nll)?.iter().map(|&x| x as f64).sum();
        self.checker.compare(&self.key("out.sum"), &[sum])?;
        self.checker.compare(&self.key("out.mean"), &[sum / kept])
    }

    pub(super) fn posterior(&mut self) -> Result<()> {
        let [samples, latents, dim] = self.axes("mu")?;
        let shape = GaussianShape { samples, layers: 1, per_layer: latents * dim };
        let (mu, logvar) = (self.input("mu")?, self.input("logvar")?);
        let (eps, d_z) = (self.input("eps")?, self.input("dz")?);
        let n = shape.len();
        let (z, d_mu, d_logvar, d_eps) =
            (self.output(n)?, self.output(n)?, self.output(n)?, self.output(n)?);
        let zero = self.output(n)?;
        let kl = self.device.alloc(DType::F64, samples)?;
        let device = &mut *self.device;
        device.gaussian_reparameterise(&GaussianReparameterise {
            mu: &mu,
            logvar: &logvar,
            eps: &eps,
            z: &z,
            shape,
        })?;
        device.gaussian_kl(&GaussianKl { mu: &mu, logvar: &logvar, kl: &kl, shape })?;
        device.gaussian_backward(&GaussianBackward {
            d_z: &d_z,
            mu: &mu,
            logvar: &logvar,
            eps: &eps,
            d_mu: &d_mu,
            d_logvar: &d_logvar,
            shape,
        })?;
        // d_eps = d_z * exp(logvar / 2) is the draw with mean 0 and noise d_z.
        device.gaussian_reparameterise(&GaussianReparameterise {
            mu: &zero,
            logvar: &logvar,
            eps: &d_z,
            z: &d_eps,
            shape,
        })?;
        let kl = device.read::<f64>(&kl)?;
        self.checker.compare(&self.key("out.kl"), &kl)?;
        self.compare("out.z", &z)?;
        self.compare("grad.mu", &d_mu)?;
        self.compare("grad.logvar", &d_logvar)?;
        self.compare("grad.eps", &d_eps)
    }
}
