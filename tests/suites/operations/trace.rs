//! What a pass found of each sequence.

use ltm_tests::cases::trace::Record;
use ltm_tests::{Case, Data, Format, refuses, refuses_value, verify};

#[test]
fn records_are_correct() {
    let shapes = [(1, 1, 1), (3, 7, 1), (2, 1030, 4), (65, 3, 17), (0, 5, 3), (2, 0, 2)];
    verify(shapes.map(|(samples, seq, rows)| Record { samples, seq, rows }));
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Record { samples: 3, seq: 5, rows: 2 });
}

#[test]
fn a_step_beyond_the_trace_is_refused() {
    let case = Record { samples: 3, seq: 5, rows: 2 };
    for step in [-1, 2, i32::MAX] {
        let mut args = case.args(Format::F32);
        args[2].data = Data::I32(vec![0, step, 1]);
        refuses_value(&case, &args);
    }
}
