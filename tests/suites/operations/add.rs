//! `into += x`.

use ltm_tests::cases::add::Sum;
use ltm_tests::{refuses, verify};

#[test]
fn sums_are_correct() {
    verify([0, 1, 7, 16_383, 16_385, 40_001].map(|len| Sum { len }));
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Sum { len: 33 });
}
