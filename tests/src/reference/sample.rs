//! The token that a uniform number picks.

/// How the distribution is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// 0 takes the most probable token.
    pub temperature: f64,
    /// 0 keeps all.
    pub top_k: usize,
    /// Probability that the kept tokens must reach.
    pub top_p: f64,
}

/// The kept tokens with their probabilities, most probable first, equal ones by id.
pub fn distribution(logits: &[f64], cut: Cut) -> Vec<(usize, f64)> {
    let mut ranked: Vec<usize> = (0..logits.len()).collect();
    ranked.sort_by(|&a, &b| logits[b].partial_cmp(&logits[a]).expect("finite").then(a.cmp(&b)));
    if cut.temperature == 0.0 {
        return vec![(ranked[0], 1.0)];
    }
    if cut.top_k > 0 {
        ranked.truncate(cut.top_k);
    }
    let weight = |&i: &usize| ((logits[i] - logits[ranked[0]]) / cut.temperature).exp();
    let weights: Vec<f64> = ranked.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    let mut kept = Vec::new();
    let mut sum = 0.0;
    for (&token, weight) in ranked.iter().zip(weights) {
        if !kept.is_empty() && sum / total >= cut.top_p {
            break;
        }
        sum += weight;
        kept.push((token, weight));
    }
    kept.into_iter().map(|(token, weight)| (token, weight / sum)).collect()
}

/// Walks down the cumulated probabilities to `uniform`.
pub fn draw(logits: &[f64], cut: Cut, uniform: f64) -> usize {
    let kept = distribution(logits, cut);
    let mut sum = 0.0;
    for &(token, probability) in &kept {
        sum += probability;
        if uniform < sum {
            return token;
        }
    }
    kept[kept.len() - 1].0
}
