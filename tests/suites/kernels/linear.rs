//! Linear maps and both of their gradients.

use ltm_engine::DeviceExt;
use ltm_tests::cases::linear::{BackwardInput, BackwardWeight, Forward, Shape};
use ltm_tests::numbers::normals;
use ltm_tests::{Case, Format, Kernels, Layout, TestGpu};

use crate::TOLERANCE;

/// Rows, inner and outer extents: of one, of whole tiles, ragged below and above a tile, more
/// than one tile each way, and few rows, as decoding has.
const SHAPES: [(usize, usize, usize); 26] = [
    (1, 1, 1),
    (1, 7, 64),
    (1, 64, 97),
    (1, 256, 64),
    (1, 512, 130),
    (2, 97, 257),
    (3, 64, 64),
    (3, 130, 7),
    (4, 520, 72),
    (8, 96, 129),
    (9, 33, 65),
    (16, 64, 192),
    (17, 8, 8),
    (33, 257, 1),
    (64, 64, 64),
    (65, 1, 65),
    (128, 32, 128),
    (129, 7, 64),
    (129, 64, 97),
    (129, 130, 129),
    (129, 264, 136),
    (130, 72, 200),
    (256, 128, 64),
    (257, 97, 7),
    (300, 40, 260),
    (513, 16, 24),
];

fn shapes() -> impl Iterator<Item = (usize, Shape)> {
    SHAPES.into_iter().map(|(rows, inner, outer)| Shape { rows, inner, outer }).enumerate()
}

#[test]
fn forward() {
    let mut kernels = Kernels::new(TOLERANCE);
    for (i, shape) in shapes() {
        kernels.check_both(&Forward { shape, residual: i % 2 == 0 });
    }
    for residual in [false, true] {
        for (rows, inner, outer) in [(3, 64, 64), (129, 64, 64), (70, 33, 40)] {
            let shape = Shape { rows, inner, outer };
            kernels.check_shifted(&Forward { shape, residual });
            kernels.check_both(&Forward { shape, residual });
        }
    }
    kernels.finish();
}

#[test]
fn backward_input() {
    let mut kernels = Kernels::new(TOLERANCE);
    for (i, shape) in shapes() {
        kernels.check_both(&BackwardInput { shape, accumulate: i % 2 == 0 });
    }
    for accumulate in [false, true] {
        for (rows, inner, outer) in [(3, 64, 64), (129, 64, 64), (70, 33, 40)] {
            let shape = Shape { rows, inner, outer };
            kernels.check_shifted(&BackwardInput { shape, accumulate });
            kernels.check_both(&BackwardInput { shape, accumulate });
        }
    }
    kernels.finish();
}

#[test]
fn backward_weight() {
    let mut kernels = Kernels::new(TOLERANCE);
    for (_, shape) in shapes() {
        kernels.check_both(&BackwardWeight { shape });
    }
    for (rows, inner, outer) in [(3, 64, 64), (129, 64, 64), (70, 33, 40)] {
        kernels.check_shifted(&BackwardWeight { shape: Shape { rows, inner, outer } });
    }
    for (rows, inner, outer) in [(1500, 8, 8), (2049, 5, 3)] {
        kernels.check_both(&BackwardWeight { shape: Shape { rows, inner, outer } });
    }
    kernels.finish();
}

/// Products and sums of small integers have no rounding to hide an index error behind.
#[test]
fn products_of_integers_are_exact() {
    let mut kernels = Kernels::new(0.0);
    for (i, shape) in shapes() {
        let on = i % 2 == 0;
        let cases: [&dyn Case; 3] = [
            &Forward { shape, residual: on },
            &BackwardInput { shape, accumulate: on },
            &BackwardWeight { shape },
        ];
        for case in cases {
            for format in [Format::F32.whole(), Format::BF16.whole()] {
                kernels.check(case, format, Layout::WHOLE);
            }
        }
    }
    kernels.finish();
}

/// Without rows or columns there is nothing to do, and a sum of no products is zero.
#[test]
fn empty_extents() {
    let mut gpu = TestGpu::open(1);
    let device = gpu.device();
    for (rows, inner, outer) in [(0, 6, 5), (6, 5, 0), (6, 0, 5)] {
        let shape = Shape { rows, inner, outer };
        let before = |n| normals(9, n);
        let x = device.alloc_from(&shape.x()).unwrap();
        let weight = device.alloc_from(&shape.weight()).unwrap();
        let residual = device.alloc_from(&shape.of_out()).unwrap();
        let out = device.alloc_from(&before(rows * outer)).unwrap();
        let args = [x.clone(), weight.clone(), out.clone(), residual.clone()];
        Forward { shape, residual: true }.call(device, &args).unwrap();
        let d_x = device.alloc_from(&before(rows * inner)).unwrap();
        let args = [residual.clone(), weight, d_x.clone()];
        BackwardInput { shape, accumulate: false }.call(device, &args).unwrap();
        let d_weight = device.alloc_from(&before(outer * inner)).unwrap();
        BackwardWeight { shape }.call(device, &[residual, x, d_weight.clone()]).unwrap();
        if inner == 0 {
            assert_eq!(device.read::<f32>(&out).unwrap(), shape.of_out());
        }
        if outer == 0 {
            assert_eq!(device.read::<f32>(&d_x).unwrap(), vec![0.0; rows * inner]);
        }
        if rows == 0 {
            assert_eq!(device.read::<f32>(&d_weight).unwrap(), before(outer * inner));
        }
    }
}
