//! How often one of k answers is right.

use serde::Serialize;

/// The unbiased estimate of the probability that at least one of `k` samples is right, from `n`
/// samples of which `c` are: `1 - C(n-c, k) / C(n, k)` (Chen et al., 2021, "Evaluating Large
/// Language Models Trained on Code"). Needs `c <= n` and `1 <= k <= n`.
pub fn pass_at_k(n: usize, c: usize, k: usize) -> f64 {
    if n - c < k {
        return 1.0;
    }
    // The product of the paper, which no binomial coefficient overflows.
    1.0 - (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
}

/// What came of one question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples.
    pub samples: usize,
    /// Those with an answer.
    pub answered: usize,
    /// Those whose answer is right.
    pub correct: usize,
}

/// pass@k over questions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PassAtK {
    /// Samples that may be tried.
    pub k: usize,
    /// Mean over the questions.
    pub mean: f64,
    /// Standard error of that mean over questions; `None` for a single one.
    pub standard_error: Option<f64>,
}

impl PassAtK {
    /// The mean over questions that have at least `k` samples each, and are not none.
    pub fn over(questions: &[Tally], k: usize) -> Self {
        let each: Vec<f64> = questions.iter().map(|q| pass_at_k(q.samples, q.correct, k)).collect();
        let count = each.len() as f64;
        let mean = each.iter().sum::<f64>() / count;
        let squares: f64 = each.iter().map(|x| (x - mean).powi(2)).sum();
        let standard_error = (each.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
        Self { k, mean, standard_error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of the subsets of k among n samples that hold one of the first c.
    fn by_subsets(n: usize, c: usize, k: usize) -> f64 {
        let right = (1_u32 << c) - 1;
        let subsets = || (0..1_u32 << n).filter(|set| set.count_ones() as usize == k);
        subsets().filter(|set| set & right != 0).count() as f64 / subsets().count() as f64
    }

    #[test]
    fn the_estimate_is_the_share_of_subsets_with_a_right_answer() {
        for n in 1..=9 {
            for c in 0..=n {
                for k in 1..=n {
                    let (found, expected) = (pass_at_k(n, c, k), by_subsets(n, c, k));
                    assert!((found - expected).abs() < 1e-12, "n {n}, c {c}, k {k}: {found}");
                }
            }
        }
    }

    #[test]
    fn the_closed_form() {
        let choose = |n: u64, k: u64| (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product();
        let (n, c): (u64, u64) = (200, 13);
        for k in [1, 10, 100, 187] {
            let (without, all): (f64, f64) = (choose(n - c, k), choose(n, k));
            let found = pass_at_k(n as usize, c as usize, k as usize);
            assert!((found - (1.0 - without / all)).abs() < 1e-9, "k {k}: {found}");
        }
        assert_eq!(pass_at_k(200, 13, 188), 1.0);
    }

    #[test]
    fn the_mean_and_its_error() {
        let tally = |correct: usize| Tally { samples: 4, answered: 4, correct };
        let pass = PassAtK::over(&[tally(0), tally(2), tally(4), tally(2)], 1);
        assert_eq!((pass.k, pass.mean), (1, 0.5));
        assert!((pass.standard_error.unwrap() - (0.5_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!(PassAtK::over(&[tally(1)], 4).standard_error, None);
    }
}
