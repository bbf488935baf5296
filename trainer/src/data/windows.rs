//! Which tokens a window covers.

/// Non-overlapping windows of `seq_len + 1` tokens, counted through all shards in order. Window i
/// of a shard starts at token `i * seq_len`: its first `seq_len` tokens are the inputs, its last
/// `seq_len` the targets. A window never crosses shards; what is left of a shard is dropped.
#[derive(Debug, Clone)]
pub struct Windows {
    seq_len: usize,
    /// Windows before each shard, and after the last one the count of all.
    starts: Vec<u64>,
}

impl Windows {
    /// Windows over shards of these lengths in tokens; `seq_len` is at least 1.
    pub fn new(seq_len: usize, shard_tokens: impl IntoIterator<Item = usize>) -> Self {
        let mut starts = vec![0];
        let mut count = 0;
        for tokens in shard_tokens {
            count += (tokens.saturating_sub(1) / seq_len) as u64;
            starts.push(count);
        }
        Self { seq_len, starts }
    }

    /// Number of windows.
    pub fn count(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Shard and first token of window `window`, which must be below [`Windows::count`].
    pub fn locate(&self, window: u64) -> (usize, usize) {
        let shard = self.starts.partition_point(|&start| start <= window) - 1;
        (shard, (window - self.starts[shard]) as usize * self.seq_len)
    }
}

/// `wanted` of `count` windows, evenly spread and ascending; all of them where there are fewer.
pub fn evenly_spaced(count: u64, wanted: u64) -> impl Iterator<Item = u64> {
    let wanted = wanted.min(count);
    (0..wanted)
        .map(move |place| (u128::from(place) * u128::from(count) / u128::from(wanted)) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_fit_their_shards_and_do_not_overlap(
            seq_len in 1_usize..20,
            shards in prop::collection::vec(0_usize..100, 1..8),
        ) {
            let windows = Windows::new(seq_len, shards.iter().copied());
            let mut expected = Vec::new();
            for (shard, &tokens) in shards.iter().enumerate() {
                let mut start = 0;
                while start + seq_len < tokens {
                    expected.push((shard, start));
                    start += seq_len;
                }
            }
            let found: Vec<_> = (0..windows.count()).map(|w| windows.locate(w)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn evenly_spaced_windows_are_distinct_and_span_the_corpus() {
        assert_eq!(evenly_spaced(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
        assert_eq!(evenly_spaced(3, 9).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(evenly_spaced(0, 9).count(), 0);
    }
}
