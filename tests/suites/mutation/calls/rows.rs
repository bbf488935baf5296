//! Calls of the operations on rows.

use ltm_tests::cases::{embedding, rms_norm, sample, swiglu};
use ltm_tests::mutation::Recording;
use ltm_tests::{Case, Layout};

use super::{BOTH, Calls, LAYOUTS, record, record_each_shifted};
use crate::changed::Changed;

/// A call, and what is changed in which of its arguments.
type Change<'a> = (&'a dyn Case, &'static str, &'a [(usize, f64)]);

pub fn embedding() -> Calls {
    let forward = |rows, width, vocab| embedding::Forward { rows, width, vocab };
    let backward = |rows, width, vocab| embedding::Backward { rows, width, vocab };
    let mut recordings = record_each_shifted(&[&forward(5, 64, 97), &backward(40, 64, 7)])?;
    recordings.extend(record(
        &[
            &forward(9, 7, 5),
            &forward(3, 4096, 5),
            &forward(2, 1100, 3),
            &forward(70, 8, 3),
            &backward(33, 7, 5),
            &backward(70, 128, 1),
            &backward(64, 132, 1),
            &backward(32, 129, 1),
            &backward(100, 97, 2),
            &backward(9, 300, 3),
            &backward(300, 4, 200),
            &backward(10, 70, 3),
            &backward(10, 40, 3),
            &backward(10, 100, 3),
            &backward(31, 5, 1),
            &backward(35, 128, 1),
            &backward(256, 1, 3),
        ],
        &LAYOUTS,
    )?);
    // Zeros that keep their sign, to which nothing may be added.
    for (rows, width) in [(1, 8), (2, 8), (3, 7), (5, 8), (6, 7), (7, 8)] {
        let elements: Vec<(usize, f64)> = (0..rows * width).map(|at| (at, -0.0)).collect();
        let case = backward(rows, width, 1);
        let case = Changed { case: &case, argument: "d_out", elements: &elements };
        let case = Changed { case: &case, argument: "d_table", elements: &elements[..width] };
        recordings.extend(record(&[&case], &[Layout::WHOLE])?);
    }
    // Tokens beyond the table, and orders that are none.
    let changes: [Change<'_>; 9] = [
        (&forward(5, 64, 97), "tokens", &[(3, 97.0)]),
        (&forward(5, 64, 97), "tokens", &[(2, -1.0), (4, 98.0)]),
        (&backward(40, 8, 7), "tokens", &[(5, 7.0)]),
        (&backward(40, 8, 7), "tokens", &[(39, -5.0)]),
        (&backward(40, 8, 7), "order", &[(6, 40.0)]),
        (&backward(40, 8, 7), "order", &[(39, 41.0)]),
        (&backward(40, 8, 7), "order", &[(0, 40.0)]),
        (&backward(3, 8, 1), "order", &[(1, 0.0)]),
        (&backward(3, 8, 1), "tokens", &[(2, 5.0)]),
    ];
    for (case, argument, elements) in changes {
        for format in BOTH {
            let case = Changed { case, argument, elements };
            recordings.push(Recording::refused(&case, format)?);
        }
    }
    Ok(recordings)
}

pub fn rms_norm() -> Calls {
    use rms_norm::{Backward, Forward, Wanted};
    let mut recordings = Vec::new();
    let cases = |rows, width| -> [Box<dyn Case>; 6] {
        [
            Box::new(Forward { rows, width, residual: false }),
            Box::new(Forward { rows, width, residual: true }),
            Box::new(Backward { rows, width, wanted: Wanted::Input }),
            Box::new(Backward { rows, width, wanted: Wanted::AddedInput }),
            Box::new(Backward { rows, width, wanted: Wanted::Weight }),
            Box::new(Backward { rows, width, wanted: Wanted::Both }),
        ]
    };
    let all =
        |cases: &[Box<dyn Case>; 6]| record_each_shifted(&cases.each_ref().map(|case| &**case));
    recordings.extend(all(&cases(5, 64))?);
    for (rows, width) in [(3, 97), (2, 2056), (2, 4096), (1, 4100), (65, 16), (9, 528), (4, 513)] {
        let cases = cases(rows, width);
        recordings.extend(record(&cases.each_ref().map(|case| &**case), &LAYOUTS)?);
    }
    let widths =
        [1, 2, 4, 8, 12, 32, 33, 120, 128, 132, 256, 260, 512, 516, 1024, 1032, 2048, 4096];
    for width in widths {
        let cases = cases(2, width);
        recordings.extend(record(&cases.each_ref().map(|case| &**case), &LAYOUTS)?);
    }
    // Enough rows that a block takes several, one after the other.
    let many: [&dyn Case; 4] = [
        &Forward { rows: 257, width: 520, residual: true },
        &Forward { rows: 256, width: 40, residual: false },
        &Backward { rows: 1100, width: 8, wanted: Wanted::Both },
        &Backward { rows: 512, width: 8, wanted: Wanted::Both },
    ];
    recordings.extend(record(&many, &LAYOUTS)?);
    Ok(recordings)
}

pub fn sample() -> Calls {
    let mut recordings = Vec::new();
    for (temperature, top_k, top_p) in [
        (0.0, 0, 1.0),
        (1.0, 0, 1.0),
        (0.3, 5, 1.0),
        (1.0, 97, 0.95),
        (1e-3, 3, 0.5),
        (5.0, 1, 1e-9),
    ] {
        for (rows, vocab) in [(3, 97), (2, 257), (1, 1), (1, 1030), (2, 256), (1, 512)] {
            let draw = sample::Draw { rows, vocab, temperature, top_k, top_p, ..sample::PLAIN };
            recordings.extend(record(&[&draw], &[Layout::WHOLE])?);
        }
    }
    for (top_k, position) in (1..97).zip(0..) {
        let draw = sample::Draw { rows: 1, top_k, position, ..sample::PLAIN };
        let sweep = record(&[&draw], &[Layout::WHOLE])?.into_iter();
        let sparse = |recording: Recording| match top_k % 8 {
            0 => recording,
            _ => recording.of_comparisons(),
        };
        recordings.extend(sweep.map(sparse));
    }
    // Equal logits: the tokens alone decide, and neighbouring ranks are all taken.
    for top_k in 1..=16 {
        let case = sample::Draw { top_k, ..sample::PLAIN };
        let elements: Vec<(usize, f64)> = (0..3 * 97).map(|at| (at, 0.5)).collect();
        let case = Changed { case: &case, argument: "logits", elements: &elements };
        recordings.extend(record(&[&case], &[Layout::WHOLE])?);
    }
    // The best by each of the digits of a rank.
    for at in 0..16 {
        let case = sample::Draw { rows: 1, vocab: 600, top_k: 1, ..sample::PLAIN };
        let elements = [(37 * at, 30.0 + at as f64 / 4.0)];
        let case = Changed { case: &case, argument: "logits", elements: &elements };
        recordings.extend(record(&[&case], &[Layout::WHOLE])?);
    }
    for temperature in [0.0, 1.0] {
        let case = sample::Draw { temperature, vocab: 600, ..sample::PLAIN };
        for value in [f64::INFINITY, f64::NAN, f64::NEG_INFINITY] {
            let elements = [(0, value), (1300, value)];
            let case = Changed { case: &case, argument: "logits", elements: &elements };
            for format in BOTH {
                recordings.push(Recording::refused(&case, format)?);
            }
        }
        // The best by each of the warps, and equal ones.
        for at in (0..512).step_by(32) {
            let elements = [(at, 30.0), (600 + at, 30.0), (600 + at + 7, 30.0)];
            let case = Changed { case: &case, argument: "logits", elements: &elements };
            recordings.extend(record(&[&case], &[Layout::WHOLE])?);
        }
    }
    Ok(recordings)
}

pub fn swiglu() -> Calls {
    let mut recordings = Vec::new();
    for (rows, width) in [(3, 64), (5, 97), (40, 128), (2, 4100), (2, 520), (1, 512), (33, 8)] {
        let cases: [&dyn Case; 2] =
            [&swiglu::Forward { rows, width }, &swiglu::Backward { rows, width }];
        recordings.extend(record_each_shifted(&cases)?);
    }
    Ok(recordings)
}
