//! Linear maps and both of their gradients.

use ltm_engine::{DeviceExt, Error};
use ltm_tests::cases::linear::{BackwardInput, BackwardWeight, Decode, Forward, Shape};
use ltm_tests::numbers::normals;
use ltm_tests::{Case, Format, call_with, refuses, verify};

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
fn decode_is_correct() {
    let cases = |shape| [false, true].map(|residual| Decode { shape, residual });
    verify(shapes().into_iter().filter(|shape| shape.rows < 100).flat_map(cases));
}

/// The bits of a row do not depend on the rows beside it, nor on the number of threads.
#[test]
fn a_row_is_decoded_as_if_it_were_alone() {
    for (inner, outer) in [(6, 5), (130, 96), (512, 70)] {
        let whole = Shape { rows: 21, inner, outer };
        let (x, residual) = (whole.x(), whole.of_out());
        let decode = |first: usize, rows: usize, threads: usize| {
            let mut device = ltm_tests::device(threads);
            let case = Decode { shape: Shape { rows, ..whole }, residual: true };
            let out = device.alloc_from(&vec![0_f32; rows * outer]).unwrap();
            let x = device.alloc_from(&x[first * inner..(first + rows) * inner]).unwrap();
            let weight = device.alloc_from(&whole.weight()).unwrap();
            let residual =
                device.alloc_from(&residual[first * outer..(first + rows) * outer]).unwrap();
            case.call(&mut device, &[x, weight, out.clone(), residual]).unwrap();
            device.read::<f32>(&out).unwrap()
        };
        let all = decode(0, whole.rows, 2);
        for (first, rows) in [(0, 1), (20, 1), (3, 2), (4, 5), (1, 17)] {
            let part = decode(first, rows, 1);
            assert!(part == all[first * outer..(first + rows) * outer], "{rows} from {first}");
        }
    }
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
    // The arguments of `linear_decode` are those of `linear_forward`, and so are its errors.
    let decode = Decode { shape: Shape { rows: 4, ..shape }, residual: true };
    let args = Forward { shape, residual: true }.args(Format::F32);
    assert!(matches!(call_with(&decode, &args), Err(Error::Extent { op: "linear_forward", .. })));
}
