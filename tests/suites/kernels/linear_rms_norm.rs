//! Linear maps with the normalisation beside them in their epilogue.

use ltm_tests::cases::linear_rms_norm::{Backward, Forward};
use ltm_tests::{Case, Format, Kernels, Layout, TestGpu, run};

use crate::{TOLERANCE, assert_fused_as_apart};

/// Rows, features on the other side of the map, features of the norm: rows of one, ragged below
/// and above a tile, several tiles, of each width of tile, its last unit and the one beyond, rows that
/// no tile holds or that do not start on 16 bytes, and few rows, as decoding has. (The statistic of a single
/// row of few rounded numbers is near the one in bf16 steps or not by luck alone.)
const SHAPES: [(usize, usize, usize); 20] = [
    (1, 1, 1),
    (2, 16, 16),
    (3, 40, 33),
    (3, 32, 64),
    (8, 64, 48),
    (9, 8, 8),
    (17, 72, 16),
    (33, 57, 31),
    (64, 64, 128),
    (65, 200, 120),
    (66, 40, 136),
    (70, 33, 40),
    (72, 40, 33),
    (128, 32, 256),
    (129, 96, 248),
    (129, 24, 264),
    (130, 136, 512),
    (65, 40, 504),
    (40, 64, 520),
    (300, 8, 72),
];

fn cases(apart: bool) -> impl Iterator<Item = [Box<dyn Case>; 2]> {
    let all = SHAPES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]);
    all.map(move |((rows, features, width), added)| -> [Box<dyn Case>; 2] {
        let (inner, outer) = (features, width);
        [
            Box::new(Forward { rows, inner, outer, residual: added, apart }),
            Box::new(Backward { rows, width, outer: features, accumulate: added, apart }),
        ]
    })
}

#[test]
fn both_are_correct() {
    let mut kernels = Kernels::new(TOLERANCE);
    for [forward, backward] in cases(false) {
        kernels.check_both(&*forward);
        kernels.check_both(&*backward);
    }
    for (rows, features, width) in [(12, 64, 64), (70, 33, 40)] {
        let (inner, outer) = (features, width);
        let (residual, accumulate, apart) = (true, true, false);
        kernels.check_shifted(&Forward { rows, inner, outer, residual, apart });
        let outer = features;
        kernels.check_shifted(&Backward { rows, width, outer, accumulate, apart });
    }
    kernels.finish();
}

#[test]
fn the_bits_are_those_of_two_steps() {
    assert_fused_as_apart(cases(false).flatten().zip(cases(true).flatten()));
}

/// The narrowest tile that holds a row; two kernels where none does.
#[test]
fn each_width_has_its_tile() {
    let mut gpu = TestGpu::open(1);
    for (rows, features, width, tile) in [
        (9, 8, 8, Some("128")),
        (64, 8, 128, Some("128")),
        (64, 8, 136, Some("256")),
        (64, 8, 256, Some("256")),
        (64, 8, 264, Some("512")),
        (64, 8, 512, Some("512")),
        (64, 8, 520, None),
        (64, 8, 63, None),
        (64, 7, 64, None),
    ] {
        let (inner, outer) = (features, width);
        let cases: [&dyn Case; 2] = [
            &Forward { rows, inner, outer, residual: true, apart: false },
            &Backward { rows, width, outer: features, accumulate: true, apart: false },
        ];
        for (case, direction) in cases.into_iter().zip(["forward", "backward"]) {
            for (format, tile) in [(Format::BF16, tile), (Format::F32, None)] {
                run(case, &case.args(format), gpu.device(), Layout::WHOLE).unwrap();
                let launches = gpu.take_launches();
                let names: Vec<_> = launches.iter().map(|launch| launch.entry.name).collect();
                match tile {
                    Some(tile) => {
                        let name = format!("linear_rms_norm_{direction}_{tile}_bf16");
                        assert!(names.is_empty() || names == [name.as_str()], "{case}: {names:?}");
                    }
                    None => assert!(names.is_empty() || names.len() == 2, "{case}: {names:?}"),
                }
            }
        }
    }
}

#[test]
fn without_rows_nothing_is_launched() {
    let mut gpu = TestGpu::open(1);
    let cases: [&dyn Case; 2] = [
        &Forward { rows: 0, inner: 5, outer: 6, residual: true, apart: false },
        &Backward { rows: 0, width: 6, outer: 5, accumulate: true, apart: false },
    ];
    for case in cases {
        run(case, &case.args(Format::BF16), gpu.device(), Layout::WHOLE).unwrap();
    }
    assert!(gpu.take_launches().is_empty());
}
