//! Linear maps side by side.

use ltm_tests::cases::grouped_linear::{BackwardInput, Forward, Shape};
use ltm_tests::{refuses, verify};

fn shapes() -> impl Iterator<Item = Shape> {
    let extents = [(1, 1, 1), (3, 7, 5), (8, 16, 32), (65, 33, 40), (300, 24, 17), (0, 3, 4)];
    let groups = [(1, 0), (2, 5), (3, 64), (0, 0)];
    groups.into_iter().flat_map(move |(count, gap)| {
        extents.map(|(rows, inner, outer)| Shape { count, gap, rows, inner, outer })
    })
}

#[test]
fn forward_is_correct() {
    verify(shapes().map(|shape| Forward { shape }));
}

#[test]
fn backward_is_correct() {
    verify(shapes().map(|shape| BackwardInput { shape }));
}

#[test]
fn malformed_calls_are_refused() {
    let shape = Shape { count: 2, gap: 3, rows: 3, inner: 5, outer: 6 };
    refuses(&Forward { shape });
    refuses(&BackwardInput { shape });
}
