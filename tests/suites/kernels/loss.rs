//! Vocabulary projection with cross-entropy.

use ltm_tests::Kernels;
use ltm_tests::cases::linear_cross_entropy::{ALL, Loss, Wanted};

use crate::APPROXIMATE;

fn loss(rows: usize, width: usize, vocab: usize, wanted: Wanted) -> Loss {
    Loss { rows, width, vocab, wanted, differences: false }
}

/// Rows below and above a tile, widths of whole and of ragged vectors, and vocabularies that
/// are no multiple of anything; between them every choice of gradients.
#[test]
fn losses() {
    let mut kernels = Kernels::new(APPROXIMATE);
    let shapes = [
        (1, 1, 1),
        (1, 64, 97),
        (1, 130, 257),
        (1, 32, 1001),
        (3, 7, 257),
        (3, 256, 97),
        (3, 64, 1001),
        (65, 16, 1),
        (129, 6, 97),
        (129, 64, 257),
        (129, 130, 97),
        (129, 32, 1001),
        (200, 8, 128),
    ];
    for (i, (rows, width, vocab)) in shapes.into_iter().enumerate() {
        kernels.check_both(&loss(rows, width, vocab, ALL[i % 4]));
        kernels.check_both(&loss(rows, width, vocab, ALL[(i + 1 + i / 4) % 4]));
    }
    for wanted in ALL {
        kernels.check_shifted(&loss(5, 64, 97, wanted));
        kernels.check_both(&loss(33, 72, 130, wanted));
        kernels.check_both(&loss(0, 6, 97, wanted));
    }
    kernels.finish();
}

/// The vocabulary of GPT-2, whose last tile is ragged.
#[test]
fn the_whole_vocabulary() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for wanted in [Wanted::Nothing, Wanted::Both] {
        kernels.check_both(&loss(2, 16, 50_258, wanted));
    }
    kernels.finish();
}
