//! Root-mean-square normalisation.

use ltm_tests::cases::rms_norm::{Backward, Forward, Wanted};
use ltm_tests::{Arg, refuses, refuses_value, verify};

use crate::row_shapes;

#[test]
fn forward_is_correct() {
    verify(
        row_shapes().flat_map(|(rows, width)| {
            [false, true].map(|residual| Forward { rows, width, residual })
        }),
    );
}

#[test]
fn backward_is_correct() {
    use Wanted::*;
    verify(row_shapes().flat_map(|(rows, width)| {
        [Input, AddedInput, Weight, Both].map(|wanted| Backward { rows, width, wanted })
    }));
}

#[test]
fn no_rows_are_no_work() {
    verify([Forward { rows: 0, width: 6, residual: true }]);
    verify([Backward { rows: 0, width: 6, wanted: Wanted::Both }]);
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Forward { rows: 3, width: 6, residual: true });
    refuses(&Backward { rows: 3, width: 6, wanted: Wanted::Both });
    let empty = |name| Arg::input(name, vec![]);
    let inv_rms = Arg::input("inv_rms", vec![0.0; 3]);
    let case = Forward { rows: 3, width: 0, residual: false };
    refuses_value(&case, &[empty("x"), empty("weight"), empty("out"), inv_rms.clone()]);
    let case = Backward { rows: 3, width: 0, wanted: Wanted::Input };
    let inputs = [empty("d_out"), empty("x"), empty("weight"), inv_rms, empty("d_x")];
    refuses_value(&case, &inputs);
}
