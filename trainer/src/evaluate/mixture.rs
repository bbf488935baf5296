//! Means of probabilities that are held as logarithms.

/// `log(mean(exp(values)))`, without leaving the range of f64; minus infinity of no values.
pub fn log_mean_exp(values: &[f64]) -> f64 {
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return top;
    }
    let sum: f64 = values.iter().map(|value| (value - top).exp()).sum();
    top + (sum / values.len() as f64).ln()
}

/// The equal mixture of several draws of z as one language model.
///
/// With K draws that know nothing of the tokens to come, `p(x_1..x_t) = mean_k p(x_1..x_t|z_k)` is
/// a distribution over texts, and the score of token t is the difference of two of its logarithms:
/// it depends on no later token, and the scores of a text sum to the log-mean-exp of the whole.
pub(super) struct Mixture {
    /// `[draws]`: log p of the tokens so far.
    log_p: Vec<f64>,
    mean: f64,
}

impl Mixture {
    /// Before the first token.
    pub(super) fn new(draws: usize) -> Self {
        Self { log_p: vec![0.0; draws], mean: 0.0 }
    }

    /// Nats of the next token, from those under each draw.
    pub(super) fn push(&mut self, nll: impl Iterator<Item = f64>) -> f64 {
        for (log_p, nll) in self.log_p.iter_mut().zip(nll) {
            *log_p -= nll;
        }
        let before = std::mem::replace(&mut self.mean, log_mean_exp(&self.log_p));
        before - self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_the_probabilities() {
        let found = log_mean_exp(&[(0.2_f64).ln(), (0.4_f64).ln()]);
        assert!((found - (0.3_f64).ln()).abs() < 1e-15);
        assert!((log_mean_exp(&[-2000.0, -2001.0]) + 2000.0 - -0.379_885).abs() < 1e-6);
        assert_eq!(log_mean_exp(&[]), f64::NEG_INFINITY);
        assert!(log_mean_exp(&[f64::NAN, 0.0]).is_nan());
    }

    #[test]
    fn scores_of_tokens_sum_to_that_of_the_text() {
        let draws = [[1.0, 5.0, 0.5], [2.0, 0.25, 3.0]];
        let mut mixture = Mixture::new(2);
        let scores: Vec<f64> =
            (0..3).map(|t| mixture.push(draws.iter().map(|draw| draw[t]))).collect();
        let whole = -log_mean_exp(&draws.map(|draw| -draw.iter().sum::<f64>()));
        assert!((scores.iter().sum::<f64>() - whole).abs() < 1e-12);
        // The second token is scored with the weights that the first one gave.
        let p = |nll: f64| (-nll).exp();
        let second = (p(6.0) + p(2.25)) / (p(1.0) + p(2.0));
        assert!((scores[1] + second.ln()).abs() < 1e-12);
    }

    #[test]
    fn one_draw_is_left_as_it_is() {
        let mut mixture = Mixture::new(1);
        for nll in [0.3, 7.0, 0.001] {
            assert!((mixture.push([nll].into_iter()) - nll).abs() < 1e-12);
        }
    }
}
