//! The mathematical definition of every operation in f64, as plainly as it can be written.
//!
//! Nothing here is fast, blocked or fused; a gradient is checked against central differences
//! of its forward function, and the engine is checked against both.

pub mod adamw;
mod attention;
pub mod embedding;
pub mod gaussian;
pub mod latent_attention;
pub mod linear;
pub mod linear_cross_entropy;
pub mod rms_norm;
pub mod sample;
pub mod swiglu;
pub mod window_attention;

/// `sum of a x b`.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `y += a x`.
fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}
