//! Latents of one text on the host.

use ltm_engine::philox::Stream;

use crate::sites;

/// q(z|x) = N(mu, exp(logvar)) of one text. A point, which is what Langevin dynamics finds, has a
/// log variance of -60.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    /// `[N, D]` means, layer by layer.
    pub mu: Vec<f32>,
    /// `[N, D]` log variances.
    pub logvar: Vec<f32>,
}

impl Posterior {
    /// A draw, `[N, D]`; the noise is a function of `seed` and `sample` alone.
    pub fn draw(&self, seed: u64, sample: u32) -> Vec<f32> {
        let site = sites::EPS + sites::VALIDATION_OFFSET;
        let stream = Stream { seed, site, sample, iteration: 0 };
        let noise = (0..).flat_map(|block| stream.normals(block));
        let numbers = self.mu.iter().zip(&self.logvar).zip(noise);
        numbers.map(|((mu, logvar), eps)| mu + eps * (0.5 * logvar).exp()).collect()
    }
}

/// A posterior and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// The posterior.
    pub posterior: Posterior,
    /// Nats of the text in all, at one z drawn from the posterior.
    pub nll: f64,
    /// Nats of KL from the prior in all; of a point -log p(z).
    pub kl: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_mean_and_the_deviation() {
        let count = 40_000;
        let posterior = Posterior { mu: vec![3.0; count], logvar: vec![(0.25_f32).ln(); count] };
        let z = posterior.draw(7, 2);
        let mean = z.iter().map(|&z| f64::from(z)).sum::<f64>() / count as f64;
        let square = |z: &f32| (f64::from(*z) - mean).powi(2);
        let variance = z.iter().map(square).sum::<f64>() / count as f64;
        assert!((mean - 3.0).abs() < 0.01 && (variance - 0.25).abs() < 0.01, "{mean} {variance}");
        assert_eq!(z, posterior.draw(7, 2));
        assert!(z != posterior.draw(8, 2) && z != posterior.draw(7, 3));
    }
}
