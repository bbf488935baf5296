//! Root-mean-square normalisation of rows.

use super::dot;

/// `x / rms(x) * weight`, and `1 / rms` per row.
pub fn forward(x: &[f64], weight: &[f64], eps: f64) -> (Vec<f64>, Vec<f64>) {
    let width = weight.len();
    let inverse = |row: &[f64]| 1.0 / (dot(row, row) / width as f64 + eps).sqrt();
    let inv_rms: Vec<f64> = x.chunks_exact(width).map(inverse).collect();
    let scaled = |(i, x): (usize, &f64)| x * inv_rms[i / width] * weight[i % width];
    (x.iter().enumerate().map(scaled).collect(), inv_rms)
}

/// Gradients of `d_out . out` with respect to `x` and `weight`.
pub fn backward(d_out: &[f64], x: &[f64], weight: &[f64], eps: f64) -> (Vec<f64>, Vec<f64>) {
    let width = weight.len();
    let (_, inv_rms) = forward(x, weight, eps);
    let (mut d_x, mut d_weight) = (Vec::new(), vec![0.0; width]);
    for ((d, x), inv) in d_out.chunks_exact(width).zip(x.chunks_exact(width)).zip(inv_rms) {
        let unit: Vec<f64> = x.iter().map(|x| x * inv).collect();
        let inner: Vec<f64> = d.iter().zip(weight).map(|(d, w)| d * w).collect();
        let mean = dot(&inner, &unit) / width as f64;
        d_x.extend(inner.iter().zip(&unit).map(|(u, x)| inv * (u - x * mean)));
        d_weight.iter_mut().zip(d).zip(&unit).for_each(|((w, d), x)| *w += d * x);
    }
    (d_x, d_weight)
}
