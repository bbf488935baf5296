//! Gradients of the f64 reference against central differences.

use crate::numbers::{normals, widen};

/// A scalar function of the arguments of an operation.
pub type Value<'a> = Box<dyn Fn(&[Vec<f64>]) -> f64 + 'a>;

/// A scalar function, a point, and the gradient that is claimed there.
pub struct Derivative<'a> {
    /// The point: one vector per argument.
    pub at: Vec<Vec<f64>>,
    /// `sum of outputs x cotangents`; the cotangents must not be uniform.
    pub value: Value<'a>,
    /// One vector per argument.
    pub gradients: Vec<Vec<f64>>,
}

/// Length of the step. The error of the difference, third derivative times `STEP^2` plus
/// rounding over `STEP`, stays near 1e-10 of the value for functions of unit scale.
const STEP: f64 = 1e-5;

/// Largest relative difference that passes.
const TOLERANCE: f64 = 1e-6;

/// Compares slopes along random directions: one evaluation pair tests all coordinates of an
/// argument at once, and an error in any of them shows in proportion to its size.
///
/// # Errors
/// Says which argument disagrees.
pub fn check_derivative(derivative: &Derivative<'_>) -> Result<(), String> {
    for (argument, gradient) in derivative.gradients.iter().enumerate() {
        let n = derivative.at[argument].len();
        if gradient.len() != n {
            return Err(format!("gradient {argument} has {} elements of {n}", gradient.len()));
        }
        for seed in [901, 902] {
            let direction = widen(&normals(seed, n));
            let shifted = |step: f64| {
                let mut at = derivative.at.clone();
                at[argument].iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
                (derivative.value)(&at)
            };
            let slope = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
            let claimed: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            if (slope - claimed).abs() > TOLERANCE * (size + claimed.abs() + 1e-3) {
                return Err(format!(
                    "argument {argument}: slope {slope:e} by central differences, \
                     {claimed:e} by the reference gradient of norm {size:e}"
                ));
            }
        }
    }
    Ok(())
}
