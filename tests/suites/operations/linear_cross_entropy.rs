//! Vocabulary projection with cross-entropy.

use ltm_tests::cases::linear_cross_entropy::{ALL, Loss, Wanted};
use ltm_tests::{Case, Data, Format, refuses, refuses_value, verify};

use crate::row_shapes;

#[test]
fn small_vocabularies_are_correct() {
    let mut cases = Vec::new();
    for (rows, width) in row_shapes() {
        for vocab in [1, 97, 1003] {
            let wanted = if vocab < 1000 || rows < 65 { &ALL[..] } else { &ALL[3..] };
            for &wanted in wanted {
                let differences = wanted == Wanted::Both && rows * vocab < 10_000;
                cases.push(Loss { rows, width, vocab, wanted, differences });
            }
        }
    }
    verify(cases);
}

/// More tokens than one share of the vocabulary; more rows than one block of tasks.
#[test]
fn split_vocabularies_are_correct() {
    let mut cases = Vec::new();
    for (rows, width) in [(1, 6), (7, 130), (65, 6), (520, 6)] {
        for wanted in ALL {
            let differences = rows == 7 && wanted == Wanted::Both;
            cases.push(Loss { rows, width, vocab: 9000, wanted, differences });
        }
    }
    cases.retain(|case| case.rows < 520 || !case.wants_weight());
    verify(cases);
}

/// More rows than the block whose exponentials are kept for the gradient of the weight, of a
/// vocabulary that is one tile and of one that is many.
#[test]
fn blocks_of_kept_exponentials_are_correct() {
    let wanted = Wanted::Both;
    let cases = [(4200, 97), (600, 33_000)];
    verify(cases.map(|(rows, vocab)| Loss { rows, width: 6, vocab, wanted, differences: false }));
}

#[test]
fn no_rows_are_no_work() {
    verify(ALL.map(|wanted| Loss { rows: 0, width: 6, vocab: 97, wanted, differences: false }));
}

#[test]
fn malformed_calls_are_refused() {
    let case = Loss { rows: 5, width: 6, vocab: 7, wanted: Wanted::Both, differences: false };
    refuses(&case);
    for target in [7, i32::MAX] {
        let mut args = case.args(Format::F32);
        args[2].data = Data::I32(vec![0, 6, -1, target, 1]);
        refuses_value(&case, &args);
    }
    for wanted in ALL {
        let case = Loss { width: 0, wanted, ..case };
        refuses_value(&case, &case.degenerate(Format::F32));
        let case = Loss { vocab: 0, wanted, ..case };
        refuses_value(&case, &case.degenerate(Format::F32));
    }
}
