//! Drawing tokens.

use ltm_engine::philox::Stream;
use ltm_tests::Kernels;
use ltm_tests::cases::sample::{Draw, PLAIN, STREAM};

#[test]
fn draws() {
    let mut kernels = Kernels::new(0.0);
    let cuts = [
        (0.0, 0, 1.0),
        (1.0, 0, 1.0),
        (0.3, 5, 1.0),
        (5.0, 0, 0.5),
        (1.0, 97, 0.95),
        (1.0, 1, 0.5),
        (0.3, 0, 1e-9),
        (1.0, 100_000, 0.95),
        (5.0, 40, 0.999),
    ];
    for (rows, vocab) in [(0, 97), (1, 1), (3, 97), (129, 33), (2, 257), (3, 1001), (1, 5000)] {
        for (i, (temperature, top_k, top_p)) in cuts.into_iter().enumerate() {
            let plain = Draw { rows, vocab, position: i as u32 % 3, ..PLAIN };
            kernels.check_both(&Draw { temperature, top_k, top_p, ..plain });
        }
    }
    // The number of the sample wraps around, as for noise.
    kernels.check_both(&Draw { stream: Stream { sample: u32::MAX, ..STREAM }, ..PLAIN });
    kernels.check_shifted(&Draw { top_p: 0.9, ..PLAIN });
    kernels.finish();
}
