//! Linear maps side by side, in one launch.

use ltm_tests::cases::grouped_linear::{BackwardInput, Forward, Shape};
use ltm_tests::{Case, Format, Kernels, Layout, TestGpu, run};

use crate::TOLERANCE;

fn shapes() -> impl Iterator<Item = Shape> {
    let extents = [(1, 1, 1), (3, 8, 16), (8, 64, 128), (9, 64, 48), (65, 33, 40), (130, 72, 136)];
    // Weights that begin on 16 bytes, and such that do not.
    let groups = [(1, 0), (2, 3), (3, 64)];
    groups.into_iter().flat_map(move |(count, gap)| {
        extents.map(|(rows, inner, outer)| Shape { count, gap, rows, inner, outer })
    })
}

#[test]
fn both_are_correct() {
    let mut kernels = Kernels::new(TOLERANCE);
    for shape in shapes() {
        kernels.check_both(&Forward { shape });
        kernels.check_both(&BackwardInput { shape });
    }
    let shape = Shape { count: 2, gap: 8, rows: 12, inner: 64, outer: 64 };
    kernels.check_shifted(&Forward { shape });
    kernels.check_shifted(&BackwardInput { shape });
    kernels.finish();
}

#[test]
fn any_number_of_groups_is_one_launch() {
    let mut gpu = TestGpu::open(1);
    for count in [0, 1, 5] {
        let shape = Shape { count, gap: 8, rows: 12, inner: 16, outer: 24 };
        let cases: [&dyn Case; 2] = [&Forward { shape }, &BackwardInput { shape }];
        for case in cases {
            run(case, &case.args(Format::BF16), gpu.device(), Layout::WHOLE).unwrap();
            assert_eq!(gpu.take_launches().len(), usize::from(count > 0), "{case}");
        }
    }
}
