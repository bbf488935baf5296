//! Attention of tokens to latents with the projection behind it.

use ltm_engine::ops::{LatentAttentionShape as Shape, MAX_LATENTS};
use ltm_tests::cases::latent_attention::Queries;
use ltm_tests::cases::latent_attention_linear::{Backward, Forward};
use ltm_tests::{Case, Format, call_on, refuses, refuses_value, verify};

/// Lengths around a block of tokens and around a task of them; widths that are no multiple of a
/// vector register, and some that are.
pub fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (i, (heads, head_dim)) in [(3, 2), (2, 16), (3, 10), (1, 64)].into_iter().enumerate() {
        for (j, seq) in [1, 63, 65, 257].into_iter().enumerate() {
            shapes.push(Shape {
                batch: [2, 1][j % 2],
                seq,
                heads,
                head_dim,
                latents: [1, 5, MAX_LATENTS][(i + j) % 3],
                latent_stride: [None, Some(43), Some(0)][(i + j) % 3],
                first_position: [0, 9][j % 2],
                theta: 10_000.0,
            });
        }
    }
    shapes
}

pub const SMALL: Shape = Shape {
    batch: 2,
    seq: 5,
    heads: 2,
    head_dim: 4,
    latents: 3,
    latent_stride: Some(7),
    first_position: 1000,
    theta: 500_000.0,
};

#[test]
fn forward_is_correct() {
    verify(shapes().into_iter().chain([SMALL]).map(|shape| Forward { shape }));
}

#[test]
fn backward_is_correct() {
    let ways = [Queries::Added, Queries::Overwritten, Queries::Skipped];
    let shapes = shapes().into_iter().chain([SMALL; 6]).enumerate();
    let case = |(i, shape)| Backward { shape, queries: ways[i % 3], weight: i % 2 == 0 };
    verify(shapes.map(case));
}

#[test]
fn empty_sequences_are_no_work() {
    for (batch, seq) in [(0, 5), (2, 0)] {
        let shape = Shape { batch, seq, ..SMALL };
        verify([Forward { shape }]);
        verify([Backward { shape, queries: Queries::Overwritten, weight: true }]);
    }
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Forward { shape: SMALL });
    refuses(&Backward { shape: SMALL, queries: Queries::Added, weight: true });
    let shape = Shape { heads: 0, ..SMALL };
    let case = Forward { shape };
    refuses_value(&case, &case.args(Format::F32));
}

#[test]
fn a_gpu_says_that_it_has_no_kernel() {
    let mut gpu = ltm_engine::open(ltm_engine::DeviceKind::Vm, 1).unwrap();
    let backward = Backward { shape: SMALL, queries: Queries::Added, weight: false };
    for case in [&Forward { shape: SMALL } as &dyn Case, &backward] {
        let error = call_on(gpu.as_mut(), case, &case.args(Format::F32)).unwrap_err().to_string();
        assert!(error.contains(case.op()) && error.contains("--device cpu"), "{error}");
    }
}
