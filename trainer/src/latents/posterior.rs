//! Latents of one text on the host.

/// q(z|x) = N(mu, exp(logvar)) of one text. A point, which is what Langevin dynamics finds, has a
/// log variance of -60.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    /// `[N, D]` means, layer by layer.
    pub mu: Vec<f32>,
    /// `[N, D]` log variances.
    pub logvar: Vec<f32>,
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
