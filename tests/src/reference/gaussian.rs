//! The Gaussian posterior. `mu`, `logvar`, `eps` are sample-major, `z` is layer-major.

use ltm_engine::ops::GaussianShape;

/// Moves `[samples, layers, per_layer]` to `[layers, samples, per_layer]`.
pub fn to_layer_major(x: &[f64], s: &GaussianShape) -> Vec<f64> {
    transposed(x, s.samples, s.layers, s.per_layer)
}

/// The inverse of [`to_layer_major`].
pub fn to_sample_major(x: &[f64], s: &GaussianShape) -> Vec<f64> {
    transposed(x, s.layers, s.samples, s.per_layer)
}

fn transposed(x: &[f64], rows: usize, columns: usize, size: usize) -> Vec<f64> {
    let piece = |i: usize| x[(i % rows * columns + i / rows) * size..][..size].to_vec();
    (0..rows * columns).flat_map(piece).collect()
}

/// `mu + eps * exp(logvar / 2)`.
pub fn reparameterise(mu: &[f64], logvar: &[f64], eps: &[f64], s: &GaussianShape) -> Vec<f64> {
    let draws = mu.iter().zip(logvar).zip(eps).map(|((m, lv), e)| m + e * (lv / 2.0).exp());
    to_layer_major(&draws.collect::<Vec<_>>(), s)
}

/// KL to the standard normal per sample, nats.
pub fn kl(mu: &[f64], logvar: &[f64], s: &GaussianShape) -> Vec<f64> {
    let term = |(m, lv): (&f64, &f64)| 0.5 * (m * m + lv.exp() - lv - 1.0);
    let terms: Vec<f64> = mu.iter().zip(logvar).map(term).collect();
    let of_sample = |sample: usize| terms[sample * s.per_sample()..][..s.per_sample()].iter().sum();
    (0..s.samples).map(of_sample).collect()
}

/// Gradients of `d_z . z + sum(kl)` with respect to `mu` and `logvar`.
pub fn backward(
    d_z: &[f64],
    mu: &[f64],
    logvar: &[f64],
    eps: &[f64],
    s: &GaussianShape,
) -> (Vec<f64>, Vec<f64>) {
    let d_z = to_sample_major(d_z, s);
    let d_mu = d_z.iter().zip(mu).map(|(d, m)| d + m).collect();
    let d_logvar = (0..d_z.len())
        .map(|i| d_z[i] * eps[i] * (logvar[i] / 2.0).exp() / 2.0 + (logvar[i].exp() - 1.0) / 2.0);
    (d_mu, d_logvar.collect())
}
