//! Linear maps with the gated activation in their epilogue.

use ltm_tests::cases::linear_swiglu::{Backward, Forward};
use ltm_tests::{Case, Format, Kernels, Layout, TestGpu, run};

use crate::{TOLERANCE, assert_fused_as_apart};

/// Rows, features on the side of the model, hidden features: of one, ragged below and above a tile
/// and a group of columns, of whole tiles, several tiles each way, and few rows, as decoding has.
const SHAPES: [(usize, usize, usize); 15] = [
    (1, 1, 1),
    (3, 40, 33),
    (8, 64, 48),
    (9, 33, 5),
    (17, 8, 16),
    (33, 57, 31),
    (64, 64, 32),
    (65, 1, 65),
    (70, 72, 36),
    (66, 40, 100),
    (128, 32, 128),
    (129, 130, 67),
    (129, 24, 136),
    (300, 40, 20),
    (40, 264, 72),
];

fn cases(apart: bool) -> impl Iterator<Item = [Box<dyn Case>; 2]> {
    SHAPES.into_iter().map(move |(rows, features, width)| -> [Box<dyn Case>; 2] {
        [
            Box::new(Forward { rows, inner: features, width, apart }),
            Box::new(Backward { rows, width, outer: features, apart }),
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
        kernels.check_shifted(&Forward { rows, inner: features, width, apart: false });
        kernels.check_shifted(&Backward { rows, width, outer: features, apart: false });
    }
    kernels.finish();
}

/// So many tiles that the large ones are taken.
#[test]
fn large_tiles_are_correct() {
    let mut kernels = Kernels::new(TOLERANCE);
    let (rows, features, width) = (2048, 16, 520);
    let cases: [&dyn Case; 2] = [
        &Forward { rows, inner: features, width, apart: false },
        &Backward { rows, width: 1040, outer: features, apart: false },
    ];
    for case in cases {
        kernels.check(case, Format::BF16, Layout::WHOLE);
    }
    kernels.finish();
    let mut gpu = TestGpu::open(1);
    for case in cases {
        run(case, &case.args(Format::BF16), gpu.device(), Layout::WHOLE).unwrap();
    }
    let names: Vec<_> = gpu.take_launches().iter().map(|launch| launch.entry.name).collect();
    let expected = ["linear_swiglu_forward_bf16", "linear_swiglu_backward_bf16"];
    assert!(names.is_empty() || names == expected, "{names:?}");
}

#[test]
fn the_bits_are_those_of_two_steps() {
    assert_fused_as_apart(cases(false).flatten().zip(cases(true).flatten()));
}

#[test]
fn without_rows_nothing_is_launched() {
    let mut gpu = TestGpu::open(1);
    let cases: [&dyn Case; 2] = [
        &Forward { rows: 0, inner: 5, width: 6, apart: false },
        &Backward { rows: 0, width: 6, outer: 5, apart: false },
    ];
    for case in cases {
        run(case, &case.args(Format::BF16), gpu.device(), Layout::WHOLE).unwrap();
    }
    assert!(gpu.take_launches().is_empty());
}
