//! Latent attention with the products around it and the norm after it.

use ltm_engine::ops::LatentAttentionShape as Shape;
use ltm_tests::cases::latent_block::{Backward, Forward};
use ltm_tests::{Format, refuses, refuses_value, verify};

const SMALL: Shape = Shape {
    batch: 2,
    seq: 5,
    heads: 2,
    head_dim: 4,
    latents: 3,
    latent_stride: Some(7),
    first_position: 1000,
    theta: 500_000.0,
};

fn shapes() -> impl Iterator<Item = Shape> {
    let extents = [(1, 16, 1), (65, 4, 1), (7, 32, 64), (2, 2, 5), (3, 64, 8)];
    let shape = |(i, (seq, head_dim, latents))| Shape {
        seq,
        heads: 1 + i % 3,
        head_dim,
        latents,
        latent_stride: [None, Some(43)][i % 2],
        first_position: [0, 9][i % 2],
        ..SMALL
    };
    extents.into_iter().enumerate().map(shape).chain([SMALL])
}

#[test]
fn forward_is_correct() {
    for queries in [false, true] {
        verify(shapes().map(|shape| Forward { shape, queries }));
    }
}

#[test]
fn backward_is_correct() {
    for queries in [false, true] {
        verify(shapes().map(|shape| Backward { shape, queries }));
    }
}

/// Without tokens the latents get a gradient of zero.
#[test]
fn empty_sequences_are_no_work() {
    for (batch, seq) in [(0, 5), (2, 0)] {
        let shape = Shape { batch, seq, ..SMALL };
        verify([Forward { shape, queries: true }]);
        verify([Backward { shape, queries: true }]);
    }
}

#[test]
fn malformed_calls_are_refused() {
    for queries in [false, true] {
        refuses(&Forward { shape: SMALL, queries });
        refuses(&Backward { shape: SMALL, queries });
        for shape in [Shape { latents: 65, ..SMALL }, Shape { head_dim: 3, ..SMALL }] {
            let (forward, backward) = (Forward { shape, queries }, Backward { shape, queries });
            use ltm_tests::Case;
            refuses_value(&forward, &forward.args(Format::F32));
            refuses_value(&backward, &backward.args(Format::F32));
        }
    }
}
