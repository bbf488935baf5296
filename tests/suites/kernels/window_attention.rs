//! Sliding-window attention: over sequences, backward, and one token at a time.

use ltm_engine::Error;
use ltm_engine::ops::WindowAttentionShape as Shape;
use ltm_tests::cases::window_attention::{Backward, Forward};
use ltm_tests::cases::window_attention_decode::Decode;
use ltm_tests::{Case, Format, Kernels, TestGpu};

use crate::APPROXIMATE;

/// Sequence length, window, numbers per head, sequences and heads. Lengths of one token, of
/// less than a tile, ragged and whole; windows of one key, within a tile, of whole tiles, of one
/// more and one less, and longer than the sequence. Heads of the sizes that models have, and odd
/// ones.
const SHAPES: [(usize, usize, usize, usize, usize); 26] = [
    (1, 1, 16, 2, 3),
    (1, 256, 128, 1, 1),
    (1, 7, 64, 3, 1),
    (5, 7, 32, 2, 3),
    (5, 1, 128, 1, 1),
    (5, 64, 16, 1, 2),
    (5, 3, 64, 1, 1),
    (64, 64, 64, 1, 1),
    (128, 32, 32, 1, 1),
    (113, 1, 128, 1, 1),
    (113, 7, 64, 1, 1),
    (113, 64, 16, 2, 2),
    (113, 256, 32, 1, 1),
    (129, 63, 32, 1, 1),
    (130, 65, 16, 1, 2),
    (96, 33, 128, 1, 1),
    (257, 1, 16, 1, 1),
    (257, 7, 128, 1, 1),
    (257, 64, 32, 1, 1),
    (257, 64, 128, 1, 1),
    (257, 256, 64, 1, 1),
    (70, usize::MAX, 32, 1, 1),
    (33, 5, 2, 1, 3),
    (70, 20, 6, 2, 1),
    (65, 64, 48, 1, 1),
    (40, 9, 126, 1, 1),
];

fn shapes() -> impl Iterator<Item = Shape> {
    SHAPES.into_iter().enumerate().map(|(i, (seq, window, head_dim, batch, heads))| {
        let theta = [10_000.0, 500_000.0][i % 2];
        Shape { batch, seq, heads, head_dim, window, theta }
    })
}

#[test]
fn forward() {
    let mut kernels = Kernels::new(APPROXIMATE);
    shapes().for_each(|shape| kernels.check_both(&Forward { shape }));
    for (head_dim, seq, window) in [(16, 33, 7), (64, 65, 64), (128, 17, 5)] {
        let shape = Shape { batch: 1, seq, heads: 2, head_dim, window, theta: 1e4 };
        kernels.check_shifted(&Forward { shape });
    }
    kernels.finish();
}

#[test]
fn backward() {
    let mut kernels = Kernels::new(APPROXIMATE);
    shapes().for_each(|shape| kernels.check_both(&Backward { shape }));
    for (head_dim, seq, window) in [(16, 33, 7), (64, 65, 64), (128, 17, 5)] {
        let shape = Shape { batch: 1, seq, heads: 2, head_dim, window, theta: 1e4 };
        kernels.check_shifted(&Backward { shape });
    }
    kernels.finish();
}

#[test]
fn empty_sequences() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for (batch, seq) in [(0, 5), (2, 0)] {
        let shape = Shape { batch, seq, heads: 2, head_dim: 32, window: 7, theta: 1e4 };
        kernels.check_both(&Forward { shape });
        kernels.check_both(&Backward { shape });
    }
    kernels.finish();
}

/// Before the ring is full, as it fills, and after it has gone round. Unused slots hold NaN,
/// which would spread from any that is read.
#[test]
fn decoding() {
    let mut kernels = Kernels::new(APPROXIMATE);
    let mut cases = Vec::new();
    for (head_dim, window, batch, heads) in [
        (16, 1, 2, 3),
        (32, 7, 1, 2),
        (64, 64, 3, 1),
        (128, 256, 1, 1),
        (64, 65, 1, 2),
        (6, 5, 2, 3),
    ] {
        for position in [0, 1, window - 1, window, window + 1, 3 * window + 2] {
            let shape = Shape { batch, seq: 1, heads, head_dim, window, theta: 1e4 };
            cases.push(Decode { shape, position });
        }
    }
    cases.iter().for_each(|case| kernels.check_both(case));
    kernels.check_shifted(&cases[7]);
    kernels.check_shifted(&cases[14]);
    kernels.finish();
}

/// Heads that no kernel holds are refused with words, not launched.
#[test]
fn other_head_sizes_are_refused() {
    for head_dim in [130, 256] {
        let shape = Shape { batch: 1, seq: 3, heads: 1, head_dim, window: 2, theta: 1e4 };
        let one = Shape { seq: 1, ..shape };
        let cases: [&dyn Case; 3] =
            [&Forward { shape }, &Backward { shape }, &Decode { shape: one, position: 1 }];
        for case in cases {
            refuses_head_size(case);
        }
    }
}

/// The virtual GPU turns `case` down for the size of its heads.
pub fn refuses_head_size(case: &dyn Case) {
    for format in [Format::F32, Format::BF16] {
        let mut gpu = TestGpu::open(1);
        let args = case.args(format);
        match ltm_tests::call_on(gpu.device(), case, &args) {
            Err(Error::Value { op, detail }) => {
                assert_eq!(op, case.op(), "{case}");
                assert!(detail.contains("head_dim"), "{case}: {detail}");
                assert!(gpu.take_launches().is_empty(), "{case}");
            }
            other => panic!("{case}: expected a refusal, got {other:?}"),
        }
    }
}
