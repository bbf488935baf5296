//! Calls of the matrix products with the normalisation in their epilogue.

use ltm_tests::cases::linear_rms_norm::{Backward, Forward};
use ltm_tests::mutation::Recording;
use ltm_tests::{Case, Format, Layout};

use super::Calls;

/// In bf16, whose kernels take nothing off the 16-byte grid and no fewer than nine rows; of the tiles the one of 128 columns, which
/// differs from the others in constants alone.
pub fn linear_rms_norm() -> Calls {
    let forward =
        |rows, inner, outer, residual| Forward { rows, inner, outer, residual, apart: false };
    let backward =
        |rows, outer, width, accumulate| Backward { rows, width, outer, accumulate, apart: false };
    let mut recordings = Vec::new();
    for (rows, features, width, added) in [
        (70, 72, 80, true),
        (33, 40, 128, false),
        (64, 136, 64, true),
        (9, 8, 8, true),
        (130, 96, 120, false),
        (10, 200, 24, true),
    ] {
        let cases: [&dyn Case; 2] =
            [&forward(rows, features, width, added), &backward(rows, features, width, added)];
        for case in cases {
            recordings.push(Recording::new(case, Format::BF16, Layout::WHOLE)?);
        }
    }
    // Every place of the last row in a tile, of the last unit of a row, and of the last one of what is
    // summed over.
    for (extent, added) in (9..=72).flat_map(|extent| [(extent, false), (extent, true)]) {
        let (features, width) = (8 * (1 + extent % 13), 8 * (1 + extent % 16));
        let cases: [&dyn Case; 2] =
            [&forward(extent, features, width, added), &backward(extent, features, width, added)];
        for case in cases {
            let recording = Recording::new(case, Format::BF16, Layout::WHOLE)?;
            recordings.push(recording.of_comparisons());
        }
    }
    Ok(recordings)
}
