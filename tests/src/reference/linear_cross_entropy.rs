//! Vocabulary projection with softmax cross-entropy.

use super::{axpy, linear};
use crate::Rounding;

/// Losses and log denominators per row; a negative target has loss 0. The logits are rounded.
pub fn forward(
    hidden: &[f64],
    weight: &[f64],
    targets: &[i32],
    width: usize,
    rounding: Rounding,
) -> (Vec<f64>, Vec<f64>) {
    let vocab = weight.len() / width;
    let logits = rounding.all(linear::forward(hidden, weight, width));
    let rows = logits.chunks_exact(vocab).zip(targets);
    rows.map(|(logits, &target)| {
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lse = top + logits.iter().map(|l| (l - top).exp()).sum::<f64>().ln();
        (if target < 0 { 0.0 } else { lse - logits[target as usize] }, lse)
    })
    .unzip()
}

/// Gradients of `scale * sum(token_nll)` with respect to `hidden` and `weight`. The logits and
/// their gradients are rounded.
pub fn backward(
    hidden: &[f64],
    weight: &[f64],
    targets: &[i32],
    scale: f64,
    width: usize,
    rounding: Rounding,
) -> (Vec<f64>, Vec<f64>) {
    let vocab = weight.len() / width;
    let (_, lse) = forward(hidden, weight, targets, width, rounding);
    let (mut d_hidden, mut d_weight) = (vec![0.0; hidden.len()], vec![0.0; weight.len()]);
    for (row, &target) in targets.iter().enumerate().filter(|(_, target)| **target >= 0) {
        let part = row * width..(row + 1) * width;
        for token in 0..vocab {
            let of_token = token * width..(token + 1) * width;
            let logit = super::dot(&hidden[part.clone()], &weight[of_token.clone()]);
            let logit = rounding.of(logit);
            let chosen = if token == target as usize { 1.0 } else { 0.0 };
            let d_logit = rounding.of(scale * ((logit - lse[row]).exp() - chosen));
            axpy(d_logit, &weight[of_token.clone()], &mut d_hidden[part.clone()]);
            axpy(d_logit, &hidden[part.clone()], &mut d_weight[of_token]);
        }
    }
    (d_hidden, d_weight)
}
