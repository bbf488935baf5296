//! Linear maps with the normalisation beside them.

use ltm_tests::cases::linear_rms_norm::{Backward, Forward};
use ltm_tests::{Case, Format, refuses, refuses_value, verify};

use crate::{assert_same_bits, row_shapes};

#[test]
fn forward_is_correct() {
    for residual in [false, true] {
        let forward =
            |inner| move |(rows, outer)| Forward { rows, inner, outer, residual, apart: false };
        verify(row_shapes().map(forward(7)));
        verify([(70, 33), (9, 100)].map(forward(130)));
    }
}

#[test]
fn backward_is_correct() {
    for accumulate in [false, true] {
        let backward =
            |outer| move |(rows, width)| Backward { rows, width, outer, accumulate, apart: false };
        verify(row_shapes().map(backward(7)));
        verify([(70, 33), (9, 100)].map(backward(130)));
    }
}

/// The product in blocks of rows and of columns too.
#[test]
fn the_bits_are_those_of_two_steps() {
    let shapes =
        [(1, 1, 1), (33, 40, 17), (300, 130, 97), (520, 9, 512), (259, 12, 1030), (0, 3, 4)];
    for (rows, features, width) in shapes {
        for added in [false, true] {
            let pair = |apart| -> [Box<dyn Case>; 2] {
                let (inner, outer) = (features, width);
                [
                    Box::new(Forward { rows, inner, outer, residual: added, apart }),
                    Box::new(Backward { rows, width, outer: features, accumulate: added, apart }),
                ]
            };
            for (fused, apart) in pair(false).iter().zip(&pair(true)) {
                assert_same_bits(&**fused, &**apart);
            }
        }
    }
}

#[test]
fn malformed_calls_are_refused() {
    let forward = |outer, residual| Forward { rows: 3, inner: 5, outer, residual, apart: false };
    let backward =
        |width, accumulate| Backward { rows: 3, width, outer: 5, accumulate, apart: false };
    for added in [false, true] {
        refuses(&forward(6, added));
        refuses(&backward(6, added));
    }
    let case = forward(0, true);
    refuses_value(&case, &case.args(Format::F32));
    // The extents are looked at before the buffers.
    refuses_value(&backward(0, true), &backward(6, true).args(Format::F32));
}
