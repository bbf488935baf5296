//! Attention of tokens to latents.

use ltm_engine::ops::LatentAttentionShape as Shape;
use ltm_tests::Kernels;
use ltm_tests::cases::latent_attention::{Backward, Forward, Queries, Reduce};

use crate::APPROXIMATE;
use crate::window_attention::refuses_head_size;

/// Sequence length, latents, numbers per head, sequences and heads.
const SHAPES: [(usize, usize, usize, usize, usize); 23] = [
    (1, 1, 16, 2, 3),
    (1, 8, 64, 1, 2),
    (1, 33, 128, 1, 1),
    (1, 64, 32, 3, 1),
    (5, 1, 64, 1, 1),
    (5, 4, 16, 2, 3),
    (5, 33, 32, 1, 2),
    (5, 64, 128, 1, 1),
    (64, 8, 64, 1, 1),
    (64, 64, 16, 1, 1),
    (113, 1, 32, 1, 1),
    (113, 4, 128, 1, 1),
    (113, 8, 16, 2, 2),
    (113, 33, 64, 1, 1),
    (113, 64, 64, 1, 1),
    (257, 1, 16, 1, 1),
    (257, 4, 64, 1, 2),
    (257, 8, 32, 2, 1),
    (257, 33, 16, 1, 2),
    (257, 64, 128, 1, 1),
    (33, 3, 2, 1, 3),
    (70, 17, 6, 2, 1),
    (65, 40, 48, 1, 1),
];

/// Between them, plain keys, rotated ones and late positions.
fn shapes() -> impl Iterator<Item = (usize, Shape)> {
    let shape = |(i, (seq, latents, head_dim, batch, heads))| Shape {
        batch,
        seq,
        heads,
        head_dim,
        latents,
        latent_stride: [None, Some(43), Some(0)][i % 3],
        first_position: [0, 9, 0, 1000][i % 4],
        theta: [10_000.0, 500_000.0][i % 2],
    };
    SHAPES.into_iter().enumerate().map(shape).enumerate()
}

#[test]
fn forward() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for (i, shape) in shapes() {
        kernels.check_both(&Forward { shape });
        if [2, 5, 8].contains(&i) {
            kernels.check_shifted(&Forward { shape });
        }
    }
    kernels.finish();
}

#[test]
fn backward() {
    let mut kernels = Kernels::new(APPROXIMATE);
    let ways = [Queries::Added, Queries::Overwritten, Queries::Skipped];
    for (i, shape) in shapes() {
        kernels.check_both(&Backward { shape, queries: ways[i % 3] });
        if [2, 5, 8].contains(&i) {
            kernels.check_shifted(&Backward { shape, queries: ways[(i + 1) % 3] });
        }
    }
    kernels.finish();
}

/// Without tokens the latents get a gradient of zero.
/// Attentions whose sums over tokens are added up together.
#[test]
fn sums_of_several() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for (i, shape) in shapes() {
        if i % 3 == 0 {
            kernels.check_both(&Reduce { shape, groups: 1 + i % 4 });
        }
    }
    kernels.finish();
}

#[test]
fn empty_sequences() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for (_, plain) in shapes().take(1) {
        for (batch, seq) in [(0, 5), (2, 0)] {
            let shape = Shape { batch, seq, ..plain };
            kernels.check_both(&Forward { shape });
            kernels.check_both(&Backward { shape, queries: Queries::Overwritten });
        }
    }
    kernels.finish();
}

/// Heads that no kernel holds are refused with words, not launched.
#[test]
fn other_head_sizes_are_refused() {
    for (_, plain) in shapes().take(1) {
        for head_dim in [130, 256] {
            let shape = Shape { head_dim, ..plain };
            refuses_head_size(&Forward { shape });
            refuses_head_size(&Backward { shape, queries: Queries::Overwritten });
        }
    }
}
