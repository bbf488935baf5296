//! Gather, and ordered scatter-add.

use ltm_tests::cases::embedding::{Backward, Forward};
use ltm_tests::{Arg, Case, Data, Format, call_with, refuses, refuses_value, verify};

use crate::row_shapes;

/// One token, few tokens that repeat for longer than a task, and more tokens than rows.
fn shapes() -> impl Iterator<Item = (usize, usize, usize)> {
    row_shapes()
        .chain([(700, 6), (1025, 6)])
        .flat_map(|(rows, width)| [1, 3, 97, 1003].map(|vocab| (rows, width, vocab)))
}

#[test]
fn forward_is_correct() {
    verify(shapes().map(|(rows, width, vocab)| Forward { rows, width, vocab }));
}

#[test]
fn backward_is_correct() {
    verify(shapes().map(|(rows, width, vocab)| Backward { rows, width, vocab }));
}

#[test]
fn no_rows_are_no_work() {
    verify([Forward { rows: 0, width: 6, vocab: 9 }]);
    verify([Backward { rows: 0, width: 6, vocab: 9 }]);
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Forward { rows: 7, width: 6, vocab: 5 });
    refuses(&Backward { rows: 7, width: 6, vocab: 5 });
}

/// An empty vocabulary has no row for any token, and rows of no numbers cannot be counted.
#[test]
fn degenerate_extents_are_refused() {
    for (width, vocab) in [(0, 5), (6, 0)] {
        let case = Forward { rows: 2, width, vocab };
        let args = [
            Arg::input("table", vec![0.0; vocab * width]),
            Arg::integers("tokens", vec![0; 2]),
            Arg::overwritten("out", 2 * width),
        ];
        refuses_value(&case, &args);
    }
}

#[test]
fn tokens_out_of_range_are_refused() {
    let (forward, backward) =
        (Forward { rows: 3, width: 6, vocab: 5 }, Backward { rows: 3, width: 6, vocab: 5 });
    for token in [-1, 5, i32::MIN, i32::MAX] {
        let mut args = forward.args(Format::F32);
        args[1].data = Data::I32(vec![0, token, 1]);
        refuses_value(&forward, &args);
        let mut args = backward.args(Format::F32);
        args[1].data = Data::I32(vec![0, token, 1]);
        refuses_value(&backward, &args);
    }
}

/// The scatter relies on the order to write without conflicts and in a fixed order.
#[test]
fn an_order_that_is_not_sorted_is_refused() {
    let case = Backward { rows: 4, width: 6, vocab: 5 };
    let mut args = case.args(Format::F32);
    args[1].data = Data::I32(vec![2, 1, 2, 0]);
    args[2].data = Data::I32(vec![3, 1, 0, 2]);
    call_with(&case, &args).expect("sorted");
    for order in
        [[0, 1, 2, 3], [3, 1, 2, 0], [3, 1, 0, 0], [3, 1, 0, 4], [3, 1, 0, -1], [3, 3, 3, 3]]
    {
        args[2].data = Data::I32(order.to_vec());
        refuses_value(&case, &args);
    }
}
