//! Operations on rows: sums, gates, norms and embeddings.

use ltm_tests::cases::{add, embedding, rms_norm, swiglu};
use ltm_tests::{Format, Kernels, Layout};

use crate::{APPROXIMATE, TOLERANCE};

/// Rows and widths: none, one and several blocks of rows; widths of one number, of less than a
/// warp, of whole and of ragged vectors, and of more than a block of threads takes at once.
const SHAPES: [(usize, usize); 12] = [
    (0, 64),
    (1, 1),
    (1, 512),
    (1, 2056),
    (3, 7),
    (3, 64),
    (3, 1000),
    (129, 6),
    (129, 64),
    (129, 97),
    (129, 257),
    (700, 32),
];

#[test]
fn sums() {
    let mut kernels = Kernels::new(TOLERANCE);
    for len in [0, 1, 7, 64, 129, 1000, 4096, 16_385] {
        kernels.check_both(&add::Sum { len });
        kernels.check_shifted(&add::Sum { len });
    }
    kernels.finish();
}

#[test]
fn gates() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for (rows, width) in SHAPES {
        kernels.check_both(&swiglu::Forward { rows, width });
        kernels.check_both(&swiglu::Backward { rows, width });
    }
    for (rows, width) in [(3, 64), (5, 97)] {
        kernels.check_shifted(&swiglu::Forward { rows, width });
        kernels.check_shifted(&swiglu::Backward { rows, width });
    }
    kernels.finish();
}

#[test]
fn norms() {
    let mut kernels = Kernels::new(TOLERANCE);
    for (rows, width) in SHAPES {
        for residual in [false, true] {
            kernels.check_both(&rms_norm::Forward { rows, width, residual });
        }
    }
    for residual in [false, true] {
        kernels.check_shifted(&rms_norm::Forward { rows: 3, width: 64, residual });
        kernels.check_shifted(&rms_norm::Forward { rows: 5, width: 97, residual });
    }
    kernels.finish();
}

#[test]
fn gradients_of_norms() {
    use rms_norm::Wanted::*;
    let mut kernels = Kernels::new(TOLERANCE);
    for (rows, width) in SHAPES {
        for wanted in [Input, AddedInput, Weight, Both] {
            kernels.check_both(&rms_norm::Backward { rows, width, wanted });
        }
    }
    for wanted in [AddedInput, Both] {
        kernels.check_shifted(&rms_norm::Backward { rows: 3, width: 64, wanted });
        kernels.check_shifted(&rms_norm::Backward { rows: 5, width: 97, wanted });
    }
    kernels.finish();
}

/// Few tokens that repeat for long, more tokens than rows, and both.
#[test]
fn embeddings() {
    let mut kernels = Kernels::new(TOLERANCE);
    for (rows, width) in SHAPES {
        for vocab in [1, 97, 1001] {
            kernels.check_both(&embedding::Forward { rows, width, vocab });
            if vocab == 97 || width < 500 {
                kernels.check_both(&embedding::Backward { rows, width, vocab });
            }
        }
    }
    for (rows, width, vocab) in [(3, 64, 97), (129, 7, 5)] {
        kernels.check_shifted(&embedding::Forward { rows, width, vocab });
        kernels.check_shifted(&embedding::Backward { rows, width, vocab });
        for format in [Format::F32.whole(), Format::BF16.whole()] {
            kernels.check(&embedding::Backward { rows, width, vocab }, format, Layout::WHOLE);
        }
    }
    kernels.finish();
}
