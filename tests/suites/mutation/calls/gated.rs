//! Calls of the matrix products with the gated activation in their epilogue.

use ltm_tests::cases::linear_swiglu::{Backward, Forward};
use ltm_tests::mutation::Recording;
use ltm_tests::{Case, Layout};

use super::{Calls, LAYOUTS, record, record_each_shifted};

pub fn linear_swiglu() -> Calls {
    let forward = |rows, inner, width| Forward { rows, inner, width, apart: false };
    let backward = |rows, outer, width| Backward { rows, width, outer, apart: false };
    let mut recordings = Vec::new();
    for (rows, features, width) in [
        (70, 72, 80),
        (33, 37, 35),
        (64, 136, 64),
        (66, 40, 67),
        (40, 66, 67),
        (67, 67, 66),
        (9, 8, 8),
        (10, 100, 12),
        (64, 96, 32),
    ] {
        let cases: [&dyn Case; 2] =
            [&forward(rows, features, width), &backward(rows, features, width)];
        recordings.extend(record(&cases, &LAYOUTS)?);
    }
    recordings.extend(record_each_shifted(&[&forward(72, 80, 88), &backward(72, 80, 88)])?);
    // Every place of the last row and the last column in the parts of a tile that a thread or a
    // warp stores, four at a time and one by one.
    let mut sweep = Vec::new();
    for extent in 1..=64 {
        let rows = 33 + extent % 32;
        let cases: [&dyn Case; 4] = [
            &forward(rows, 8, extent),
            &backward(rows, 8, extent),
            &forward(rows, 9, extent),
            &backward(rows, 9, extent),
        ];
        sweep.extend(record(&cases, &[Layout::WHOLE])?);
        let cases: [&dyn Case; 4] = [
            &forward(9 + extent, 9, 36),
            &backward(extent, 9, 36),
            &forward(9 + extent, 8, 40),
            &backward(extent, 8, 40),
        ];
        sweep.extend(record(&cases, &[Layout::WHOLE, Layout::shifted_at(2)])?);
    }
    for extent in 33..=64 {
        let cases: [&dyn Case; 2] = [&forward(extent, 97, extent), &backward(extent, 97, extent)];
        sweep.extend(record(&cases, &[Layout::WHOLE])?);
    }
    for features in (1..=99).step_by(2) {
        let cases: [&dyn Case; 2] = [&forward(35, features, 33), &backward(35, features, 33)];
        sweep.extend(record(&cases, &[Layout::WHOLE])?);
    }
    recordings.extend(sweep.into_iter().map(Recording::of_comparisons));
    Ok(recordings)
}
