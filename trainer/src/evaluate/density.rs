//! Densities of latents, nats.

use std::f64::consts::TAU;

use crate::posterior::prior::HostPrior;

/// `log q(z|x)` of the posterior N(mu, exp(logvar)) at `z = mu + eps exp(logvar / 2)`.
fn log_posterior(logvar: &[f32], eps: &[f32]) -> f64 {
    let log_density = |(&eps, &logvar): (&f32, &f32)| {
        -0.5 * (f64::from(eps) * f64::from(eps) + f64::from(logvar) + TAU.ln())
    };
    eps.iter().zip(logvar).map(log_density).sum()
}

/// `log p(z) - log q(z|x)` at `z = mu + eps exp(logvar / 2)`, all of one sequence. 0 where there
/// are no latents.
pub(super) fn log_ratio(prior: &HostPrior, mu: &[f32], logvar: &[f32], eps: &[f32]) -> f64 {
    let z = mu.iter().zip(logvar).zip(eps).map(|((&mu, &logvar), &eps)| {
        f64::from(mu) + f64::from(eps) * (0.5 * f64::from(logvar)).exp()
    });
    prior.log_density(z) - log_posterior(logvar, eps)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of `log q - log p` over draws of q is the KL, from any prior.
    #[test]
    fn the_mean_log_ratio_is_the_negative_kl() {
        let (mu, logvar) = ([0.7_f32, -1.5], [-1.0_f32, 0.4]);
        let stream = |sample| ltm_engine::philox::Stream { seed: 5, site: 0, sample, iteration: 0 };
        let draws = 20_000;
        let learned = HostPrior { mean: vec![0.4, -1.0], logvar: vec![0.3, 0.5] };
        for prior in [HostPrior::standard(2), learned] {
            let kl: f64 = prior.vector_kls(&mu, &logvar, 2).iter().sum();
            let ratio = |n| log_ratio(&prior, &mu, &logvar, &stream(n).normals(0)[..2]);
            let mean: f64 = (0..draws).map(ratio).sum::<f64>() / f64::from(draws);
            assert!((mean + kl).abs() < 0.02, "{mean} against {}", -kl);
        }
    }

    #[test]
    fn densities_are_those_of_normal_distributions() {
        let half = (0.5_f32).ln() * 2.0;
        // q = N(1, 0.5^2) at z = 1.5, one deviation from its mean.
        let expected = (-0.5 * 1.5_f64 * 1.5) - (-0.5 - (0.5_f64).ln());
        let standard = HostPrior::standard(1);
        assert!((log_ratio(&standard, &[1.0], &[half], &[1.0]) - expected).abs() < 1e-6);
        assert_eq!(log_ratio(&HostPrior::standard(0), &[], &[], &[]), 0.0);
    }
}
