//! Linear maps that are one step with the normalisation beside them: which are, and that their
//! gradients are slopes.

use ltm_autograd::ops::{FeedForwardArgs, LinearArgs};
use ltm_autograd::{Segment, Tape, Var};
use ltm_engine::DeviceExt;

use crate::leaves::{Leaf, assert_slopes};
use crate::{bind, device, normals};

const ROWS: usize = 4;
const WIDTH: usize = 6;
const HIDDEN: usize = 5;

#[derive(Default)]
struct Recorder {
    tape: Tape,
    leaves: Vec<Leaf>,
}

impl Recorder {
    fn leaf(&mut self, len: usize, (mean, deviation): (f32, f32), wanted: bool) -> Var {
        let seed = 50 + self.leaves.len() as u64;
        let numbers = normals(seed, len).into_iter().map(|x| mean + deviation * x).collect();
        let leaf = Leaf::record(&mut self.tape, numbers, wanted);
        let value = leaf.value;
        self.leaves.push(leaf);
        value
    }

    /// Rows of which a gradient is wanted.
    fn rows(&mut self) -> Var {
        self.leaf(ROWS * WIDTH, (0.0, 1.0), true)
    }

    fn matrix(&mut self, outer: usize, inner: usize, trained: bool) -> Var {
        self.leaf(outer * inner, (0.0, 1.0 / (inner as f32).sqrt()), trained)
    }

    fn norm(&mut self, x: Var, trained: bool) -> Var {
        let gain = self.leaf(WIDTH, (1.0, 0.3), trained);
        self.tape.rms_norm(x, gain, 1e-2).unwrap()
    }

    /// A frozen square map.
    fn linear(&mut self, x: Var, residual: Option<Var>) -> Var {
        let weight = self.matrix(WIDTH, WIDTH, false);
        let args = LinearArgs { x, weight, residual, inner: WIDTH, outer: WIDTH };
        self.tape.linear(args).unwrap()
    }

    /// Holds the gradients of `d . out` to slopes. Returns the steps, first those forward.
    fn steps(self, out: Var) -> Vec<&'static str> {
        let Self { mut tape, leaves } = self;
        let len = tape.len(out);
        tape.export(out);
        let seed = tape.seed(out);
        let (mut device, mut program) = (device(), tape.finish().unwrap());
        let d = normals(1, len);
        let out = bind(&mut device, &mut program, out, &vec![f32::NAN; len]);
        bind(&mut device, &mut program, seed, &d);
        let leaves: Vec<_> =
            leaves.into_iter().map(|leaf| leaf.bind(&mut device, &mut program)).collect();
        program.place_alone(&mut device).unwrap();
        program.run(Segment::All, &mut device).unwrap();
        assert_slopes(&mut device, &leaves, |device| {
            program.run(Segment::Forward, device).unwrap();
            let found = device.read::<f32>(&out).unwrap();
            found.iter().zip(&d).map(|(x, d)| (x * d) as f64).sum()
        });
        program.operations().collect()
    }
}

/// The norm of what the map just before computes is one step with it, and the gradient of a map of
/// normalised rows goes through their norm at once where its gain is frozen.
#[test]
fn maps_and_norms_are_one_step() {
    for trained in [false, true] {
        let mut r = Recorder::default();
        let x = r.rows();
        let h = r.linear(x, None);
        let n = r.norm(h, trained);
        let between = r.linear(n, None);
        let y = r.linear(between, Some(h));
        let out = r.norm(y, false);
        let mut expected =
            vec!["linear_rms_norm_forward", "linear_forward", "linear_rms_norm_forward"];
        // No map reads the norm of y whose gradient could go through it.
        expected.extend(["rms_norm_backward", "linear_backward_input"]);
        match trained {
            false => expected.push("linear_rms_norm_backward"),
            // The gradient of the gain needs that of the normalised rows.
            true => expected.extend(["linear_backward_input", "rms_norm_backward"]),
        }
        expected.push("linear_backward_input");
        assert_eq!(r.steps(out), expected, "trained: {trained}");
    }
}

/// A map that adds to its result what was normalised for it: both parts of the gradient arrive.
#[test]
fn a_residual_may_be_what_was_normalised_for_the_same_map() {
    let mut r = Recorder::default();
    let x = r.rows();
    let h = r.linear(x, None);
    let n = r.norm(h, false);
    let out = r.linear(n, Some(h));
    let expected = [
        "linear_rms_norm_forward",
        "linear_forward",
        "linear_rms_norm_backward",
        "add",
        "linear_backward_input",
    ];
    assert_eq!(r.steps(out), expected);
}

/// A feed-forward block has a map at each end.
#[test]
fn feed_forward_blocks_are_joined_at_both_ends() {
    let mut r = Recorder::default();
    let x = r.rows();
    let n = r.norm(x, false);
    let (gate_up, down) = (r.matrix(2 * HIDDEN, WIDTH, false), r.matrix(WIDTH, HIDDEN, false));
    let (inner, width, outer) = (WIDTH, HIDDEN, WIDTH);
    let args = FeedForwardArgs { x: n, gate_up, down, residual: Some(x), inner, width, outer };
    let h = r.tape.feed_forward(args).unwrap();
    let out = r.norm(h, false);
    let expected = [
        "rms_norm_forward",
        "linear_swiglu_forward",
        "linear_rms_norm_forward",
        "rms_norm_backward",
        "linear_swiglu_backward",
        // The residual is the caller's, whose gradient is added to.
        "add",
        "linear_rms_norm_backward",
    ];
    assert_eq!(r.steps(out), expected);
}

/// The norm of anything but the result of the operation just before is a step by itself.
#[test]
fn norms_of_something_else_stay_apart() {
    let mut r = Recorder::default();
    let x = r.rows();
    let h = r.linear(x, None);
    let between = r.linear(x, None);
    let n = r.norm(h, false);
    let out = r.linear(n, Some(between));
    let expected = [
        "linear_forward",
        "linear_forward",
        "rms_norm_forward",
        "linear_forward",
        "linear_rms_norm_backward",
        "linear_backward_input",
        "linear_backward_input",
    ];
    assert_eq!(r.steps(out), expected);
}

/// Where nobody wants the gradient of what was normalised, none is carried there.
#[test]
fn norms_of_constants_get_no_gradient() {
    let mut r = Recorder::default();
    let x = r.leaf(ROWS * WIDTH, (0.0, 1.0), false);
    let n = r.norm(x, false);
    let weight = r.matrix(WIDTH, WIDTH, true);
    let args = LinearArgs { x: n, weight, residual: None, inner: WIDTH, outer: WIDTH };
    let out = r.tape.linear(args).unwrap();
    assert_eq!(r.steps(out), ["rms_norm_forward", "linear_forward", "linear_backward_weight"]);
}

/// Maps of the same normalised rows each carry their part through the norm; what comes to the rows
/// otherwise goes through it by itself.
#[test]
fn gradients_of_all_uses_of_normalised_rows_add_up() {
    for (trained, as_residual) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut r = Recorder::default();
        let x = r.rows();
        let n = r.norm(x, trained);
        let a = r.linear(n, None);
        let out = r.linear(n, Some(a));
        let out = if as_residual { r.linear(out, Some(n)) } else { out };
        let steps = r.steps(out);
        let count = |name| steps.iter().filter(|step| **step == name).count();
        let through = if trained { 0 } else { 2 };
        assert_eq!(count("linear_rms_norm_backward"), through, "{steps:?}");
        let alone = (trained || as_residual) as usize;
        assert_eq!(count("rms_norm_backward"), alone, "{steps:?}");
    }
}
