//! A shuffled order without a table.

use ltm_engine::philox::philox4x32_10;

use crate::sites;

/// Enough for the order to have no visible structure on domains of any size; four suffice for
/// pseudo-randomness in theory.
const ROUNDS: u32 = 8;

/// A permutation of `0..len` chosen by (seed, epoch), evaluated at single points in O(1) memory.
///
/// A balanced Feistel network on the smallest even number of bits that covers `len` permutes a
/// domain of at most `4 len` (16 at least); images beyond `len` are sent through again until they
/// fall inside, which stays a bijection.
#[derive(Debug, Clone, Copy)]
pub struct Permutation {
    len: u64,
    half_bits: u32,
    key: [u32; 2],
    epoch: u32,
}

impl Permutation {
    /// The order of `len` items in `epoch`.
    pub fn new(len: u64, seed: u64, epoch: u64) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        Self {
            len,
            half_bits: bits.div_ceil(2).max(2),
            // The counter has 32 bits for the epoch; what lies beyond goes into the key.
            key: [seed as u32, (seed >> 32) as u32 ^ (epoch >> 32) as u32],
            epoch: epoch as u32,
        }
    }

    /// The item at `place`, which must be below `len`.
    pub fn at(&self, place: u64) -> u64 {
        debug_assert!(place < self.len);
        let mut item = place;
        loop {
            item = self.feistel(item);
            if item < self.len {
                return item;
            }
        }
    }

    fn feistel(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for round in 0..ROUNDS {
            // Halves are at most 32 bits wide.
            let counter = [right as u32, sites::SHUFFLE, round, self.epoch];
            let mixed = u64::from(philox4x32_10(counter, self.key)[0]) & mask;
            (left, right) = (right, left ^ mixed);
        }
        left << self.half_bits | right
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_bijection(len in 1_u64..3000, seed: u64, epoch in 0_u64..5) {
            let permutation = Permutation::new(len, seed, epoch);
            let mut seen = vec![false; len as usize];
            for place in 0..len {
                let item = permutation.at(place) as usize;
                prop_assert!(!std::mem::replace(&mut seen[item], true));
            }
        }

        #[test]
        fn stays_inside_huge_domains(len in 1_u64 << 40..1 << 63, place: u64) {
            prop_assert!(Permutation::new(len, 1, 0).at(place % len) < len);
        }
    }

    #[test]
    fn seeds_and_epochs_give_different_orders() {
        let order = |seed, epoch| {
            let permutation = Permutation::new(1000, seed, epoch);
            (0..1000).map(|place| permutation.at(place)).collect::<Vec<_>>()
        };
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
        assert_ne!(order(1, 0), order(1 << 32 | 1, 0));
        assert_ne!(order(1, 0), order(1, 1 << 32));
        assert_eq!(order(1, 0), order(1, 0));
    }

    #[test]
    fn neighbours_are_spread_evenly() {
        // The mean distance of two random places among n is n / 3.
        let permutation = Permutation::new(10_000, 3, 0);
        let distance: u64 =
            (0..9_999).map(|place| permutation.at(place).abs_diff(permutation.at(place + 1))).sum();
        let mean = distance as f64 / 9_999.0;
        assert!((mean - 3333.0).abs() < 100.0, "{mean}");
    }
}
