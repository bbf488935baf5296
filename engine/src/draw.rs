//! The rule by which a token is drawn from logits, for the CPU and for hosts that cut the
//! distribution in ways that no kernel knows.

/// How the distribution `softmax(logits / temperature)` is cut, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// 0 takes the most probable token.
    pub temperature: f32,
    /// Most probable tokens to keep; 0 keeps all.
    pub top_k: usize,
    /// Keeps the smallest set of most probable tokens whose share of what `top_k` left reaches
    /// this; 1 keeps all.
    pub top_p: f32,
    /// Keeps the tokens that are at least this times as probable as the most probable one
    /// (Nguyen et al., 2024); 0 keeps all.
    pub min_p: f32,
}

/// Tokens ranked at first; each further piece is eight times as large. Most draws end in the
/// first: ranking a whole vocabulary would take longer than computing its logits.
const FIRST_RANKED: usize = 64;

/// The token at the share `uniform`, in `[0, 1)`, of what the cut leaves of the distribution,
/// counted from the most probable token down. Equal logits rank by token, so the draw is a
/// function of its arguments alone. Every logit must be finite, and there is at least one.
pub fn draw(logits: &[f32], cut: &Cut, uniform: f32) -> usize {
    let mut ranks = Ranks::new(logits);
    let top = ranks.get(0);
    if cut.temperature == 0.0 {
        return top;
    }
    let scale = (logits[top] as f64, cut.temperature as f64);
    let weight = |token: usize| ((logits[token] as f64 - scale.0) / scale.1).exp();
    let most = match cut.top_k {
        0 => logits.len(),
        k => k.min(logits.len()),
    };
    let total: f64 = match most == logits.len() {
        true => (0..most).map(weight).sum(),
        false => (0..most).map(|rank| weight(ranks.get(rank))).sum(),
    };
    let (mut count, mut kept) = (most, total);
    if cut.top_p < 1.0 || cut.min_p > 0.0 {
        (count, kept) = (0, 0.0);
        while count < most && (count == 0 || kept < cut.top_p as f64 * total) {
            let next = weight(ranks.get(count));
            if next < cut.min_p as f64 {
                break;
            }
            kept += next;
            count += 1;
        }
    }
    let mut left = uniform as f64 * kept;
    for rank in 0..count {
        let token = ranks.get(rank);
        left -= weight(token);
        if left < 0.0 {
            return token;
        }
    }
    ranks.get(count - 1)
}

/// Tokens from the most probable down, ranked as far as they are asked for.
struct Ranks {
    /// Rank keys, smallest first up to `sorted`, in any order from there.
    keys: Vec<u64>,
    sorted: usize,
}

impl Ranks {
    fn new(logits: &[f32]) -> Self {
        let key = |(token, &logit): (usize, &f32)| {
            // Adding 0 turns -0 to 0, which it equals. The bits of numbers above 0 are in the
            // order of the numbers, those of the others in the opposite one.
            let bits = (logit + 0.0).to_bits();
            let ascending = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
            u64::from(!ascending) << 32 | token as u64
        };
        Self { keys: logits.iter().enumerate().map(key).collect(), sorted: 0 }
    }

    /// The token of rank `rank`, from 0.
    fn get(&mut self, rank: usize) -> usize {
        while rank >= self.sorted {
            let piece = if self.sorted == 0 { FIRST_RANKED } else { 7 * self.sorted };
            let rest = &mut self.keys[self.sorted..];
            let piece = piece.min(rest.len());
            if piece < rest.len() {
                rest.select_nth_unstable(piece);
            }
            rest[..piece].sort_unstable();
            self.sorted += piece;
        }
        self.keys[rank] as u32 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Cut = Cut { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 };

    #[test]
    fn ranks_are_those_of_a_stable_sort() {
        let logits: Vec<f32> =
            (0..3000_i32).map(|i| ((i * 7919) % 613 - 300) as f32 / 100.0).collect();
        let mut expected: Vec<usize> = (0..logits.len()).collect();
        expected.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let mut ranks = Ranks::new(&logits);
        let found: Vec<usize> = (0..logits.len()).map(|rank| ranks.get(rank)).collect();
        assert_eq!(found, expected);
        assert_eq!(Ranks::new(&[-0.0, 0.0]).get(0), 0, "the zeros are equal");
    }

    /// Tokens that some share of a fine grid draws.
    fn drawn(logits: &[f32], cut: Cut) -> Vec<usize> {
        let shares = (0..1000).map(|i| i as f32 / 1000.0);
        let mut tokens: Vec<usize> = shares.map(|share| draw(logits, &cut, share)).collect();
        tokens.dedup();
        tokens
    }

    #[test]
    fn min_p_keeps_what_is_probable_beside_the_first() {
        // Probabilities 0.5, 0.25, 0.15, 0.1, in another order.
        let logits = [0.1_f32, 0.5, 0.15, 0.25].map(f32::ln);
        assert_eq!(drawn(&logits, ALL), [1, 3, 2, 0]);
        assert_eq!(drawn(&logits, Cut { min_p: 0.25, ..ALL }), [1, 3, 2]);
        assert_eq!(drawn(&logits, Cut { min_p: 0.31, ..ALL }), [1, 3]);
        assert_eq!(drawn(&logits, Cut { min_p: 1.0, ..ALL }), [1]);
        // Both cuts: the smaller set counts. After the temperature, the shares are squared.
        assert_eq!(drawn(&logits, Cut { min_p: 0.25, top_p: 0.6, ..ALL }), [1, 3]);
        assert_eq!(drawn(&logits, Cut { min_p: 0.2, temperature: 0.5, ..ALL }), [1, 3]);
        // The share of a kept token is its share of the kept: 2/3 of 0.75.
        let cut = Cut { min_p: 0.31, ..ALL };
        assert_eq!([0.66, 0.67].map(|share| draw(&logits, &cut, share)), [1, 3]);
    }
}
