//! How probable and how varied texts are.

use std::collections::HashSet;

use serde::Serialize;

use super::Generated;

/// Longest n-grams that are counted.
const LONGEST: usize = 4;

/// Figures of one text, or means over texts; `None` where the text is too short to have them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TextFigures {
    /// `-log p` of what was drawn, nats per draw, under the model itself: before temperature,
    /// penalty and cuts.
    pub nll: Option<f64>,
    /// Entropy of the model's distribution, mean over the draws, nats.
    pub entropy: Option<f64>,
    /// Entropy of the token frequencies of the text itself, nats.
    pub token_entropy: Option<f64>,
    /// distinct-n (Li et al., 2016), n = 1 to 4: different n-grams / n-grams.
    pub distinct: [Option<f64>; LONGEST],
    /// rep-n (seq-rep-n of Welleck et al., 2020; rep-n of Su et al., 2022, as a share), n = 1 to
    /// 4: `1 - different n-grams / n-grams` of one text.
    pub rep: [Option<f64>; LONGEST],
    /// `(1 - rep-2) (1 - rep-3) (1 - rep-4)` (Su et al., 2022).
    pub diversity: Option<f64>,
}

impl TextFigures {
    /// Figures of one text.
    pub fn of(text: &Generated) -> Self {
        let distinct = distinct(std::slice::from_ref(&text.tokens.as_slice()));
        let rep = distinct.map(|share| share.map(|share| 1.0 - share));
        let mean = |f: fn(&super::Drawn) -> f64| mean(text.drawn.iter().map(|d| Some(f(d))));
        Self {
            nll: mean(|d| d.nll),
            entropy: mean(|d| d.entropy),
            token_entropy: token_entropy(&text.tokens),
            distinct,
            rep,
            diversity: rep[1..]
                .iter()
                .try_fold(1.0, |product, rep| Some(product * (1.0 - (*rep)?))),
        }
    }

    /// Figures of all texts: `nll` and `entropy` are means over all draws, `distinct` counts the
    /// n-grams of all texts together, the others are means over the texts that have them.
    pub fn over(texts: &[Generated]) -> Self {
        let each: Vec<Self> = texts.iter().map(Self::of).collect();
        let draws = || texts.iter().flat_map(|text| &text.drawn);
        let tokens: Vec<&[i32]> = texts.iter().map(|text| text.tokens.as_slice()).collect();
        Self {
            nll: mean(draws().map(|d| Some(d.nll))),
            entropy: mean(draws().map(|d| Some(d.entropy))),
            token_entropy: mean(each.iter().map(|f| f.token_entropy)),
            distinct: distinct(&tokens),
            rep: std::array::from_fn(|n| mean(each.iter().map(|f| f.rep[n]))),
            diversity: mean(each.iter().map(|f| f.diversity)),
        }
    }
}

/// The mean of the numbers that are there.
fn mean(numbers: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, count) = numbers.flatten().fold((0.0, 0_u64), |(s, n), x| (s + x, n + 1));
    (count > 0).then(|| sum / count as f64)
}

/// distinct-1 to distinct-4 of the n-grams of all texts; none spans two texts.
fn distinct(texts: &[&[i32]]) -> [Option<f64>; LONGEST] {
    std::array::from_fn(|n| {
        let grams = || texts.iter().flat_map(|text| text.windows(n + 1));
        let all = grams().count();
        let different: HashSet<&[i32]> = grams().collect();
        (all > 0).then(|| different.len() as f64 / all as f64)
    })
}

fn token_entropy(tokens: &[i32]) -> Option<f64> {
    if tokens.is_empty() {
        return None;
    }
    let mut sorted = tokens.to_vec();
    sorted.sort_unstable();
    let share = |count: usize| count as f64 / tokens.len() as f64;
    let term = |run: &[i32]| -share(run.len()) * share(run.len()).ln();
    // Adding 0 turns the -0 of a single token into 0.
    Some(sorted.chunk_by(|a, b| a == b).map(term).sum::<f64>() + 0.0)
}

#[cfg(test)]
mod tests {
    use super::super::Drawn;
    use super::*;

    fn text(tokens: &[i32], drawn: &[(f64, f64)]) -> Generated {
        let drawn = drawn.iter().map(|&(nll, entropy)| Drawn { nll, entropy }).collect();
        Generated { tokens: tokens.to_vec(), drawn, ..Generated::default() }
    }

    #[test]
    fn figures_of_a_text_by_hand() {
        // 2-grams ab bc ca ab bc: 3 of 5; 3-grams abc bca cab abc: 3 of 4; 4-grams: 3 of 3.
        let figures = TextFigures::of(&text(&[1, 2, 3, 1, 2, 3], &[(1.0, 2.0), (2.0, 4.0)]));
        assert_eq!(figures.distinct, [Some(0.5), Some(0.6), Some(0.75), Some(1.0)]);
        assert_eq!(figures.rep, [Some(0.5), Some(0.4), Some(0.25), Some(0.0)]);
        assert!((figures.diversity.unwrap() - 0.6 * 0.75).abs() < 1e-12);
        assert!((figures.token_entropy.unwrap() - 3_f64.ln()).abs() < 1e-12);
        assert_eq!((figures.nll, figures.entropy), (Some(1.5), Some(3.0)));
    }

    #[test]
    fn a_short_text_has_no_long_repetitions() {
        let figures = TextFigures::of(&text(&[7, 7], &[]));
        assert_eq!(figures.distinct, [Some(0.5), Some(1.0), None, None]);
        assert_eq!((figures.diversity, figures.nll), (None, None));
        assert_eq!(figures.token_entropy, Some(0.0));
        assert_eq!(TextFigures::of(&text(&[], &[])), TextFigures::default());
    }

    #[test]
    fn texts_are_pooled_for_distinct_and_averaged_for_rep() {
        let texts = [text(&[1, 2, 3], &[(1.0, 1.0)]), text(&[1, 2, 2, 2], &[(4.0, 1.0); 3])];
        let figures = TextFigures::over(&texts);
        // 2-grams 12 23 | 12 22 22: 3 of 5; none spans the texts.
        assert_eq!(figures.distinct[1], Some(0.6));
        assert!((figures.rep[1].unwrap() - (0.0 + 1.0 / 3.0) / 2.0).abs() < 1e-12);
        assert_eq!(figures.rep[3], Some(0.0), "of the one text that has 4-grams");
        assert_eq!(figures.nll, Some(13.0 / 4.0));
    }
}
