//! Linear maps and both of their gradients.

use ltm_engine::DeviceExt;
use ltm_tests::cases::linear::{BackwardInput, BackwardWeight, Forward, Shape};
use ltm_tests::numbers::normals;
use ltm_tests::{Case, refuses, verify};

use crate::{ROWS, WIDTHS};

/// Ragged shapes; then more than one block of rows, of columns, and of summed rows.
fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for rows in ROWS {
        for inner in WIDTHS {
            shapes.extend(WIDTHS.map(|outer| Shape { rows, inner, outer }));
        }
    }
    for (rows, inner, outer) in [(1, 1, 1), (300, 40, 513), (260, 300, 7), (601, 6, 96)] {
        shapes.push(Shape { rows, inner, outer });
    }
    shapes.push(Shape { rows: 2049, inner: 5, outer: 3 });
    shapes
}

#[test]
fn forward_is_correct() {
    let cases = |shape| [false, true].map(|residual| Forward { shape, residual });
    verify(shapes().into_iter().flat_map(cases));
}

#[test]
fn backward_input_is_correct() {
    let cases = |shape| [false, true].map(|accumulate| BackwardInput { shape, accumulate });
    verify(shapes().into_iter().flat_map(cases));
}

#[test]
fn backward_weight_is_correct() {
    verify(shapes().into_iter().map(|shape| BackwardWeight { shape }));
}

/// Without rows or columns there is nothing to do, and a sum of no products is zero.
#[test]
fn empty_extents_are_taken() {
    let mut device = ltm_tests::device(2);
    for (rows, inner, outer) in [(0, 6, 5), (6, 5, 0), (6, 0, 5)] {
        let shape = Shape { rows, inner, outer };
        let before = |n| normals(9, n);
        let x = device.alloc_from(&shape.x()).unwrap();
        let weight = device.alloc_from(&shape.weight()).unwrap();
        let residual = device.alloc_from(&shape.of_out()).unwrap();
        let out = device.alloc_from(&before(rows * outer)).unwrap();
        let forward = Forward { shape, residual: true };
        forward.call(&mut device, &[x.clone(), weight, out.clone(), residual.clone()]).unwrap();
        let d_weight = device.alloc_from(&before(outer * inner)).unwrap();
        let gradient = BackwardWeight { shape };
        gradient.call(&mut device, &[residual, x, d_weight.clone()]).unwrap();
        if inner == 0 {
            assert_eq!(device.read::<f32>(&out).unwrap(), shape.of_out());
        }
        if rows == 0 {
            assert_eq!(device.read::<f32>(&d_weight).unwrap(), before(outer * inner));
        }
    }
}

#[test]
fn malformed_calls_are_refused() {
    let shape = Shape { rows: 3, inner: 6, outer: 5 };
    refuses(&Forward { shape, residual: true });
    refuses(&BackwardInput { shape, accumulate: true });
    refuses(&BackwardWeight { shape });
}
