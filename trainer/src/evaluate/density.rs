//! Densities of latents, nats. They are the only place where evaluation knows what the prior is.

use std::f64::consts::TAU;

/// `log p(z)` of the prior N(0, I).
pub(super) fn log_prior(z: impl Iterator<Item = f64>) -> f64 {
    z.map(|z| -0.5 * (z * z + TAU.ln())).sum()
}

/// `log q(z|x)` of the posterior N(mu, exp(logvar)) at `z = mu + eps exp(logvar / 2)`.
fn log_posterior(eps: &[f32], logvar: &[f32]) -> f64 {
    let log_density = |(&eps, &logvar): (&f32, &f32)| {
        -0.5 * (f64::from(eps) * f64::from(eps) + f64::from(logvar) + TAU.ln())
    };
    eps.iter().zip(logvar).map(log_density).sum()
}

/// `log p(z) - log q(z|x)` at `z = mu + eps exp(logvar / 2)`, all of one sequence. 0 where there
/// are no latents.
pub(super) fn log_ratio(mu: &[f32], logvar: &[f32], eps: &[f32]) -> f64 {
    let z = mu.iter().zip(logvar).zip(eps).map(|((&mu, &logvar), &eps)| {
        f64::from(mu) + f64::from(eps) * (0.5 * f64::from(logvar)).exp()
    });
    log_prior(z) - log_posterior(eps, logvar)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of `log q - log p` over draws of q is the KL.
    #[test]
    fn the_mean_log_ratio_is_the_negative_kl() {
        let (mu, logvar) = ([0.7_f32, -1.5], [-1.0_f32, 0.4]);
        let kl: f64 =
            mu.iter().zip(&logvar).map(|(&m, &l)| f64::from(m * m + l.exp() - l - 1.0) / 2.0).sum();
        let stream = |sample| ltm_engine::philox::Stream { seed: 5, site: 0, sample, iteration: 0 };
        let draws = 20_000;
        let mean: f64 =
            (0..draws).map(|n| log_ratio(&mu, &logvar, &stream(n).normals(0)[..2])).sum::<f64>()
                / f64::from(draws);
        assert!((mean + kl).abs() < 0.02, "{mean} against {}", -kl);
    }

    #[test]
    fn densities_are_those_of_normal_distributions() {
        let half = (0.5_f32).ln() * 2.0;
        // q = N(1, 0.5^2) at z = 1.5, one deviation from its mean.
        let expected = (-0.5 * 1.5_f64 * 1.5) - (-0.5 - (0.5_f64).ln());
        assert!((log_ratio(&[1.0], &[half], &[1.0]) - expected).abs() < 1e-6);
        assert_eq!(log_ratio(&[], &[], &[]), 0.0);
    }
}
