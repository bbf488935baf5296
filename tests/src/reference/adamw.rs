//! AdamW (Loshchilov and Hutter, 2019) and the global-norm clip.

use ltm_engine::ops::AdamWStep;

/// Parameters and moments.
#[derive(Clone, Debug)]
pub struct State {
    /// Parameters.
    pub params: Vec<f64>,
    /// Mean of the gradients.
    pub first: Vec<f64>,
    /// Mean of their squares.
    pub second: Vec<f64>,
}

impl State {
    /// One step; `decays(i)` says whether weight decay applies to parameter `i`.
    pub fn step(&mut self, gradients: &[f64], step: &AdamWStep, decays: impl Fn(usize) -> bool) {
        let correction1 = 1.0 - step.beta1.powf(step.number as f64);
        let correction2 = 1.0 - step.beta2.powf(step.number as f64);
        for (i, g) in gradients.iter().enumerate() {
            self.first[i] = step.beta1 * self.first[i] + (1.0 - step.beta1) * g;
            self.second[i] = step.beta2 * self.second[i] + (1.0 - step.beta2) * g * g;
            if decays(i) {
                self.params[i] *= 1.0 - step.lr * step.weight_decay;
            }
            let (m, v) = (self.first[i] / correction1, self.second[i] / correction2);
            self.params[i] -= step.lr * m / (v.sqrt() + step.eps);
        }
    }
}

/// The norm, and the factor that clips it to `limit` (0: none).
pub fn global_norm(gradients: &[f64], limit: f64) -> [f64; 2] {
    let norm = super::dot(gradients, gradients).sqrt();
    let factor = if limit == 0.0 || norm <= limit { 1.0 } else { limit / (norm + 1e-6) };
    [norm, factor]
}
