//! Values that are parts of others: the results of maps side by side.

use ltm_autograd::ops::{GroupedLinearArgs, LinearArgs};
use ltm_autograd::{GradientMode, Program, Result, Segment, Tape, Var};
use ltm_engine::ops::Groups;
use ltm_engine::{DType, Device, DeviceExt};

use crate::{bind, device, integers};

const ROWS: usize = 3;
const INNER: usize = 5;
const OUTER: usize = 4;
const COUNT: usize = 3;
const GAP: usize = 7;
const STRIDE: usize = OUTER * INNER + GAP;

/// Maps of the parts of x, after each another map to `INNER` features, and gradients from the
/// `seeded` first of these.
struct Recorded {
    program: Program,
    x: Var,
    d_x: Var,
    weights: Var,
    after: Var,
    /// Results, and their gradients.
    out: Vec<(Var, Option<Var>)>,
}

fn record(seeded: usize) -> Result<Recorded> {
    let mut t = Tape::new();
    let weights = t.constant(DType::F32, (COUNT - 1) * STRIDE + OUTER * INNER);
    let after = t.constant(DType::F32, INNER * OUTER);
    let (x, d_x) = t.variable(COUNT * ROWS * INNER, GradientMode::Overwrite);
    let groups = Groups { count: COUNT, weight_stride: STRIDE };
    let args = GroupedLinearArgs { x, weight: weights, groups, inner: INNER, outer: OUTER };
    let mut out = Vec::new();
    for (group, x) in t.grouped_linear(args)?.into_iter().enumerate() {
        let args = LinearArgs { x, weight: after, residual: None, inner: OUTER, outer: INNER };
        let y = t.linear(args)?;
        t.export(y);
        out.push((y, (group < seeded).then(|| t.seed(y))));
    }
    Ok(Recorded { program: t.finish()?, x, d_x, weights, after, out })
}

/// `[rows, outer] = [rows, inner] weight^T`, or with `weight` as it is.
fn product(x: &[f32], weight: &[f32], turned: bool, inner: usize) -> Vec<f32> {
    let (rows, outer) = (x.len() / inner, weight.len() / inner);
    let at =
        |o: usize, i: usize| if turned { weight[o * inner + i] } else { weight[i * outer + o] };
    let of = |row: usize, o: usize| (0..inner).map(|i| x[row * inner + i] * at(o, i)).sum();
    (0..rows * outer).map(|n| of(n / outer, n % outer)).collect()
}

#[test]
fn parts_are_computed_and_differentiated_each_by_itself() {
    let mut device = device();
    let mut r = record(COUNT).unwrap();
    let len = ROWS * INNER;
    let (x, after) = (integers(1, COUNT * len), integers(3, INNER * OUTER));
    let weights = integers(2, (COUNT - 1) * STRIDE + OUTER * INNER);
    bind(&mut device, &mut r.program, r.x, &x);
    bind(&mut device, &mut r.program, r.weights, &weights);
    bind(&mut device, &mut r.program, r.after, &after);
    let d_x = bind(&mut device, &mut r.program, r.d_x, &vec![f32::NAN; COUNT * len]);
    let mut buffers = Vec::new();
    for (group, (y, d_y)) in r.out.iter().enumerate() {
        let d = integers(10 + group as u64, len);
        let y = bind(&mut device, &mut r.program, *y, &vec![f32::NAN; len]);
        bind(&mut device, &mut r.program, d_y.unwrap(), &d);
        buffers.push((y, d));
    }
    // What the arena held before shows where a part is not what was written to its whole.
    let floats = r.program.arena_bytes().div_ceil(4);
    let arena = device.alloc(DType::F32, floats).unwrap();
    device.upload(&arena, &vec![f32::NAN; floats]).unwrap();
    r.program.place(&arena).unwrap();
    r.program.run(Segment::All, &mut device).unwrap();
    let found = device.read::<f32>(&d_x).unwrap();
    for (group, (y, d_y)) in buffers.iter().enumerate() {
        let weight = &weights[group * STRIDE..][..OUTER * INNER];
        let x = &x[group * len..][..len];
        let expected = product(&product(x, weight, true, INNER), &after, true, OUTER);
        assert_eq!(device.read::<f32>(y).unwrap(), expected, "group {group}");
        let d = product(&product(d_y, &after, false, INNER), weight, false, OUTER);
        assert_eq!(found[group * len..][..len], d, "gradient of group {group}");
    }
}

#[test]
fn a_gradient_of_some_parts_alone_is_refused() {
    assert!(record(0).is_ok(), "no gradient at all is one of none");
    let refused = record(COUNT - 1).err().unwrap().to_string();
    assert!(refused.contains("grouped_linear") && refused.contains("some of its results"));
}

/// A part that is only a summand gets its gradient into that of the whole all the same.
#[test]
fn parts_that_are_residuals_get_their_gradients() {
    let (mut device, mut t) = (device(), Tape::new());
    let len = ROWS * INNER;
    let weights = t.constant(DType::F32, (COUNT - 1) * STRIDE + OUTER * INNER);
    let (other, after) = (t.constant(DType::F32, ROWS), t.constant(DType::F32, OUTER));
    let (x, d_x) = t.variable(COUNT * len, GradientMode::Overwrite);
    let groups = Groups { count: COUNT, weight_stride: STRIDE };
    let args = GroupedLinearArgs { x, weight: weights, groups, inner: INNER, outer: OUTER };
    let mut seeds = Vec::new();
    for part in t.grouped_linear(args).unwrap() {
        let residual = Some(part);
        let args = LinearArgs { x: other, weight: after, residual, inner: 1, outer: OUTER };
        let y = t.linear(args).unwrap();
        t.export(y);
        seeds.push((y, t.seed(y)));
    }
    let mut program = t.finish().unwrap();
    let numbers = integers(2, (COUNT - 1) * STRIDE + OUTER * INNER);
    bind(&mut device, &mut program, x, &integers(1, COUNT * len));
    bind(&mut device, &mut program, weights, &numbers);
    bind(&mut device, &mut program, other, &integers(3, ROWS));
    bind(&mut device, &mut program, after, &integers(4, OUTER));
    let d_x = bind(&mut device, &mut program, d_x, &vec![f32::NAN; COUNT * len]);
    let mut upstream = Vec::new();
    for (group, (y, d_y)) in seeds.into_iter().enumerate() {
        let d = integers(10 + group as u64, ROWS * OUTER);
        bind(&mut device, &mut program, y, &[f32::NAN; ROWS * OUTER]);
        bind(&mut device, &mut program, d_y, &d);
        upstream.push(d);
    }
    program.place_alone(&mut device).unwrap();
    program.run(Segment::All, &mut device).unwrap();
    let found = device.read::<f32>(&d_x).unwrap();
    for (group, d) in upstream.iter().enumerate() {
        let weight = &numbers[group * STRIDE..][..OUTER * INNER];
        assert_eq!(found[group * len..][..len], product(d, weight, false, OUTER), "group {group}");
    }
}
