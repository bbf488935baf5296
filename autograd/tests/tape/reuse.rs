//! Values used more than once, seeds, exports and gradient modes, in small integers: sums are
//! exact, so the comparisons are too.

use ltm_autograd::ops::LinearArgs;
use ltm_autograd::{GradientMode, Segment, Tape, Var};
use ltm_engine::{DType, DeviceExt};

use crate::{bind, device, integers};

const N: usize = 5;
const ROWS: usize = 3;

/// `rows` times the `N x N` matrix `weight`.
fn times(rows: &[f32], weight: &[f32]) -> Vec<f32> {
    let element = |i: usize, j: usize| (0..N).map(|k| rows[i * N + k] * weight[k * N + j]).sum();
    (0..rows.len() / N)
        .flat_map(|i| (0..N).map(move |j| (i, j)))
        .map(|(i, j)| element(i, j))
        .collect()
}

fn sum(parts: &[&[f32]]) -> Vec<f32> {
    (0..parts[0].len()).map(|i| parts.iter().map(|part| part[i]).sum()).collect()
}

fn square(x: Var, weight: Var, residual: Option<Var>) -> LinearArgs {
    LinearArgs { x, weight, residual, inner: N, outer: N }
}

/// `y1 = x A^T + x`, `y2 = x B^T + y1`, `y3 = y2 C^T + x`: x is used four times, twice as a
/// residual, and y1 passes its gradient on. d_x = d C (A + B + I) + d.
#[test]
fn gradients_of_all_uses_add_up() {
    for mode in [GradientMode::Overwrite, GradientMode::Add] {
        let mut device = device();
        let mut tape = Tape::new();
        let (x, d_x) = tape.variable(ROWS * N, mode);
        let weights = [0; 3].map(|_| tape.constant(DType::F32, N * N));
        let y1 = tape.linear(square(x, weights[0], Some(x))).unwrap();
        let y2 = tape.linear(square(x, weights[1], Some(y1))).unwrap();
        let y3 = tape.linear(square(y2, weights[2], Some(x))).unwrap();
        tape.export(y3);
        let seed = tape.seed(y3);
        let mut program = tape.finish().unwrap();
        let numbers = [11, 12, 13].map(|seed| integers(seed, N * N));
        let (d, before) = (integers(14, ROWS * N), integers(15, ROWS * N));
        bind(&mut device, &mut program, x, &integers(10, ROWS * N));
        for (weight, numbers) in weights.iter().zip(&numbers) {
            bind(&mut device, &mut program, *weight, numbers);
        }
        bind(&mut device, &mut program, y3, &[f32::NAN; ROWS * N]);
        bind(&mut device, &mut program, seed, &d);
        let gradient = bind(&mut device, &mut program, d_x, &before);
        program.place_alone(&mut device).unwrap();
        program.run(Segment::All, &mut device).unwrap();

        let d_y2 = times(&d, &numbers[2]);
        let paths = [times(&d_y2, &numbers[0]), times(&d_y2, &numbers[1])];
        let kept = match mode {
            GradientMode::Add => before,
            GradientMode::Overwrite => vec![0.0; ROWS * N],
        };
        let expected = sum(&[&d, &d_y2, &paths[0], &paths[1], &kept]);
        assert_eq!(device.read::<f32>(&gradient).unwrap(), expected, "{mode:?}");
    }
}

/// A program cut in two: the first exports what the second starts from, and goes backward from
/// the gradient that the second leaves.
#[test]
fn a_program_continues_another_through_export_and_seed() {
    let mut device = device();
    let (a, b) = (integers(21, N * N), integers(22, N * N));
    let (input, d) = (integers(23, ROWS * N), integers(24, ROWS * N));

    let mut tape = Tape::new();
    let (x, d_x) = tape.variable(ROWS * N, GradientMode::Overwrite);
    let (weight, d_weight) = tape.variable(N * N, GradientMode::Add);
    let middle = tape.linear(square(x, weight, None)).unwrap();
    tape.export(middle);
    let d_middle = tape.seed(middle);
    let mut prefix = tape.finish().unwrap();

    let mut tape = Tape::new();
    let (from, d_from) = tape.variable(ROWS * N, GradientMode::Overwrite);
    let frozen = tape.constant(DType::F32, N * N);
    let y = tape.linear(square(from, frozen, Some(from))).unwrap();
    tape.export(y);
    let d_y = tape.seed(y);
    let mut suffix = tape.finish().unwrap();

    bind(&mut device, &mut prefix, x, &input);
    bind(&mut device, &mut prefix, weight, &a);
    let shared = bind(&mut device, &mut prefix, middle, &[f32::NAN; ROWS * N]);
    let d_shared = bind(&mut device, &mut prefix, d_middle, &[f32::NAN; ROWS * N]);
    let d_x = bind(&mut device, &mut prefix, d_x, &[f32::NAN; ROWS * N]);
    let d_weight = bind(&mut device, &mut prefix, d_weight, &[0.0; N * N]);
    suffix.bind(from, &shared).unwrap();
    suffix.bind(d_from, &d_shared).unwrap();
    bind(&mut device, &mut suffix, frozen, &b);
    let out = bind(&mut device, &mut suffix, y, &[f32::NAN; ROWS * N]);
    bind(&mut device, &mut suffix, d_y, &d);
    prefix.place_alone(&mut device).unwrap();
    suffix.place_alone(&mut device).unwrap();

    prefix.run(Segment::Forward, &mut device).unwrap();
    suffix.run(Segment::All, &mut device).unwrap();
    prefix.run(Segment::Backward, &mut device).unwrap();

    let transposed = |w: &[f32]| -> Vec<f32> { (0..N * N).map(|i| w[i % N * N + i / N]).collect() };
    let middle = times(&input, &transposed(&a));
    let expected = sum(&[&middle, &times(&middle, &transposed(&b))]);
    assert_eq!(device.read::<f32>(&out).unwrap(), expected);
    let d_middle = sum(&[&d, &times(&d, &b)]);
    assert_eq!(device.read::<f32>(&d_x).unwrap(), times(&d_middle, &a));
    let expected: Vec<f32> = (0..N * N)
        .map(|i| (0..ROWS).map(|r| d_middle[r * N + i / N] * input[r * N + i % N]).sum())
        .collect();
    assert_eq!(device.read::<f32>(&d_weight).unwrap(), expected);
}

/// `Add` accumulates over runs, `Overwrite` starts afresh.
#[test]
fn gradient_modes_hold_over_runs() {
    let mut device = device();
    let mut tape = Tape::new();
    let (x, d_x) = tape.variable(ROWS * N, GradientMode::Overwrite);
    let (added, d_added) = tape.variable(ROWS * N, GradientMode::Add);
    let (weight, d_weight) = tape.variable(N * N, GradientMode::Add);
    let y = tape.linear(square(x, weight, Some(added))).unwrap();
    tape.export(y);
    let seed = tape.seed(y);
    let mut program = tape.finish().unwrap();
    let d = integers(30, ROWS * N);
    bind(&mut device, &mut program, x, &integers(31, ROWS * N));
    bind(&mut device, &mut program, added, &integers(32, ROWS * N));
    bind(&mut device, &mut program, weight, &integers(33, N * N));
    bind(&mut device, &mut program, y, &[0.0; ROWS * N]);
    let seed = bind(&mut device, &mut program, seed, &d);
    let overwritten = bind(&mut device, &mut program, d_x, &[f32::NAN; ROWS * N]);
    let sums = [
        bind(&mut device, &mut program, d_added, &[0.0; ROWS * N]),
        bind(&mut device, &mut program, d_weight, &[0.0; N * N]),
    ];
    program.place_alone(&mut device).unwrap();
    let mut first = None;
    for run in 1..=3 {
        device.upload(&seed, &d).unwrap();
        program.run(Segment::All, &mut device).unwrap();
        let found = device.read::<f32>(&overwritten).unwrap();
        let sums = sums.each_ref().map(|sum| device.read::<f32>(sum).unwrap());
        let (x_once, sums_once) = first.get_or_insert_with(|| (found.clone(), sums.clone()));
        assert_eq!(found, *x_once, "run {run}");
        for (sum, once) in sums.iter().zip(sums_once) {
            let expected: Vec<f32> = once.iter().map(|g| g * run as f32).collect();
            assert_eq!(*sum, expected, "run {run}");
        }
    }
    assert_eq!(first.unwrap().1[0], d);
}
