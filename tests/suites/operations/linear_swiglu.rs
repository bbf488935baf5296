//! Linear maps with the gated activation between them.

use ltm_tests::cases::linear_swiglu::{Backward, Forward};
use ltm_tests::{Case, Format, refuses, refuses_value, verify};

use crate::{assert_same_bits, row_shapes};

#[test]
fn forward_is_correct() {
    let forward = |inner| move |(rows, width)| Forward { rows, inner, width, apart: false };
    verify(row_shapes().map(forward(7)));
    verify([(70, 33), (9, 100)].map(forward(130)));
}

#[test]
fn backward_is_correct() {
    let backward = |outer| move |(rows, width)| Backward { rows, width, outer, apart: false };
    verify(row_shapes().map(backward(7)));
    verify([(70, 33), (9, 100)].map(backward(130)));
}

#[test]
fn the_bits_are_those_of_two_steps() {
    for (rows, features, width) in [(1, 1, 1), (33, 40, 17), (300, 130, 97), (0, 3, 4)] {
        let pair = |apart| -> [Box<dyn Case>; 2] {
            [
                Box::new(Forward { rows, inner: features, width, apart }),
                Box::new(Backward { rows, width, outer: features, apart }),
            ]
        };
        for (fused, apart) in pair(false).iter().zip(&pair(true)) {
            assert_same_bits(&**fused, &**apart);
        }
    }
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Forward { rows: 3, inner: 5, width: 6, apart: false });
    refuses(&Backward { rows: 3, width: 6, outer: 5, apart: false });
    let case = Forward { rows: 3, inner: 5, width: 0, apart: false };
    refuses_value(&case, &case.args(Format::F32));
    let case = Backward { rows: 3, width: 0, outer: 5, apart: false };
    refuses_value(&case, &case.args(Format::F32));
}
