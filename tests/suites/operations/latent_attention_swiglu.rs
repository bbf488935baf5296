//! Attention of tokens to latents and the first half of the feed-forward block behind it.

use ltm_engine::ops::LatentAttentionSwigluShape as Shape;
use ltm_tests::cases::latent_attention::Queries;
use ltm_tests::cases::latent_attention_swiglu::{Backward, Forward};
use ltm_tests::{Case, Format, call_on, refuses, refuses_value, verify};

use crate::latent_attention_linear as attention;

/// Features fewer than a vector register, and more than are worked on at a time.
fn shapes() -> impl Iterator<Item = Shape> {
    let widths = [7, 48, 17, 530].into_iter().cycle();
    let shapes = attention::shapes().into_iter().zip(widths);
    shapes.map(|(attention, width)| Shape { attention, width, eps: 1e-5 })
}

const SMALL: Shape = Shape { attention: attention::SMALL, width: 6, eps: 0.1 };

#[test]
fn forward_is_correct() {
    verify(shapes().chain([SMALL]).map(|shape| Forward { shape }));
}

#[test]
fn backward_is_correct() {
    let ways = [Queries::Added, Queries::Overwritten, Queries::Skipped];
    let shapes = shapes().chain([SMALL; 6]).enumerate();
    let case = |(i, shape)| Backward { shape, queries: ways[i % 3], weights: i % 2 == 0 };
    verify(shapes.map(case));
}

#[test]
fn empty_sequences_are_no_work() {
    for (batch, seq) in [(0, 5), (2, 0)] {
        let attention = ltm_engine::ops::LatentAttentionShape { batch, seq, ..SMALL.attention };
        let shape = Shape { attention, ..SMALL };
        verify([Forward { shape }]);
        verify([Backward { shape, queries: Queries::Overwritten, weights: true }]);
    }
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Forward { shape: SMALL });
    refuses(&Backward { shape: SMALL, queries: Queries::Added, weights: true });
    let case = Forward { shape: Shape { width: 0, ..SMALL } };
    refuses_value(&case, &case.args(Format::F32));
}

#[test]
fn a_gpu_says_that_it_has_no_kernel() {
    let mut gpu = ltm_engine::open(ltm_engine::DeviceKind::Vm, 1).unwrap();
    let backward = Backward { shape: SMALL, queries: Queries::Added, weights: false };
    for case in [&Forward { shape: SMALL } as &dyn Case, &backward] {
        let error = call_on(gpu.as_mut(), case, &case.args(Format::F32)).unwrap_err().to_string();
        assert!(error.contains(case.op()) && error.contains("--device cpu"), "{error}");
    }
}
