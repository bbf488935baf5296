//! Sliding-window attention over whole sequences.

use ltm_engine::ops::{
    WindowAttentionBackward, WindowAttentionForward, WindowAttentionShape as Shape,
};
use ltm_engine::{Buffer, Device, Result};
use ltm_tests::numbers::{narrow, normals, widen};
use ltm_tests::reference::{dot, window_attention};
use ltm_tests::{Arg, Case, Derivative, Expected, refuses, refuses_value, verify};

/// The exponential turns the rounding of a score, which may be 8 and the end of a long sum,
/// into a relative error of its weight.
const FORWARD_ROUNDINGS: f64 = 32.0;
/// In a gradient, that weight multiplies a difference of sums over a head, of up to four
/// deviations, and an element of a key, likewise.
const BACKWARD_ROUNDINGS: f64 = 128.0;

#[derive(Clone, Copy, Debug)]
struct Forward {
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Backward {
    shape: Shape,
}

printed!(Forward, Backward);

fn elements(s: &Shape) -> usize {
    s.rows() * s.width()
}

fn qkv(s: &Shape) -> Vec<f32> {
    normals(1, 3 * elements(s))
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "window_attention_forward"
    }

    fn args(&self) -> Vec<Arg> {
        vec![
            Arg::input("qkv", qkv(&self.shape)),
            Arg::overwritten("out", elements(&self.shape)),
            Arg::overwritten("logsumexp", self.shape.rows() * self.shape.heads),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (qkv, out, logsumexp, shape) = (&b[0], &b[1], &b[2], self.shape);
        device.window_attention_forward(&WindowAttentionForward { qkv, out, logsumexp, shape })
    }

    fn expected(&self) -> Vec<Expected> {
        let (out, lse) = window_attention::forward(&widen(&qkv(&self.shape)), &self.shape);
        vec![Expected::new(out, FORWARD_ROUNDINGS), Expected::new(lse, FORWARD_ROUNDINGS)]
    }
}

impl Backward {
    fn d_out(&self) -> Vec<f32> {
        normals(2, elements(&self.shape))
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "window_attention_backward"
    }

    fn args(&self) -> Vec<Arg> {
        let qkv = qkv(&self.shape);
        let (out, logsumexp) = window_attention::forward(&widen(&qkv), &self.shape);
        vec![
            Arg::input("qkv", qkv),
            Arg::input("out", narrow(&out)),
            Arg::input("logsumexp", narrow(&logsumexp)),
            Arg::input("d_out", self.d_out()),
            Arg::overwritten("d_qkv", 3 * elements(&self.shape)),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.window_attention_backward(&WindowAttentionBackward {
            qkv: &b[0],
            out: &b[1],
            logsumexp: &b[2],
            d_out: &b[3],
            d_qkv: &b[4],
            shape: self.shape,
        })
    }

    fn expected(&self) -> Vec<Expected> {
        let (qkv, d_out) = (widen(&qkv(&self.shape)), widen(&self.d_out()));
        let d_qkv = window_attention::backward(&qkv, &d_out, &self.shape);
        vec![Expected::new(d_qkv, BACKWARD_ROUNDINGS)]
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let (qkv, d_out) = (widen(&qkv(&self.shape)), widen(&self.d_out()));
        let gradient = window_attention::backward(&qkv, &d_out, &self.shape);
        let value =
            move |at: &[Vec<f64>]| dot(&window_attention::forward(&at[0], &self.shape).0, &d_out);
        Some(Derivative { at: vec![qkv], value: Box::new(value), gradients: vec![gradient] })
    }
}

/// Windows of one key, of a few, of a block and of everything; lengths around a block of 64.
fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (i, head_dim) in [2, 16, 32, 64, 128].into_iter().enumerate() {
        for window in [1, 5, 64, 200] {
            for seq in [1, 2, 63, 64, 65, 130] {
                // Between them the head sizes see one and several sequences and heads.
                let (batch, heads) = [(2, 3), (1, 2), (2, 1), (1, 1), (1, 1)][i];
                shapes.push(Shape { batch, seq, heads, head_dim, window, theta: 10_000.0 });
            }
        }
    }
    shapes
}

const ODD: Shape = Shape { batch: 2, seq: 67, heads: 3, head_dim: 6, window: 33, theta: 500_000.0 };

#[test]
fn forward_is_correct() {
    verify(shapes().into_iter().chain([ODD]).map(|shape| Forward { shape }));
}

#[test]
fn backward_is_correct() {
    verify(shapes().into_iter().chain([ODD]).map(|shape| Backward { shape }));
}

/// A window without bound is one that covers the sequence.
#[test]
fn the_largest_window_is_taken() {
    let shape = Shape { window: usize::MAX, ..ODD };
    verify([Forward { shape }]);
    verify([Backward { shape }]);
}

#[test]
fn empty_sequences_are_no_work() {
    for (batch, seq) in [(0, 5), (2, 0)] {
        let shape = Shape { batch, seq, ..ODD };
        verify([Forward { shape }]);
        verify([Backward { shape }]);
    }
}

/// Scores near the largest finite number: the softmax subtracts its maximum first.
#[test]
fn large_scores_do_not_overflow() {
    use ltm_engine::DeviceExt;
    let shape = Shape { batch: 1, seq: 3, heads: 1, head_dim: 2, window: 3, theta: 1e4 };
    let mut device = ltm_tests::device(1);
    let qkv: Vec<f32> = qkv(&shape).iter().map(|x| x * 1e12).collect();
    let qkv = device.alloc_from(&qkv).unwrap();
    let out = device.alloc_from(&[f32::NAN; 6]).unwrap();
    let lse = device.alloc_from(&[f32::NAN; 3]).unwrap();
    Forward { shape }.call(&mut device, &[qkv, out.clone(), lse]).unwrap();
    assert!(device.read::<f32>(&out).unwrap().iter().all(|x| x.is_finite()));
}

#[test]
fn malformed_calls_are_refused() {
    let shape = Shape { batch: 2, seq: 5, heads: 2, head_dim: 4, window: 3, theta: 1e4 };
    refuses(&Forward { shape });
    refuses(&Backward { shape });
    for shape in [
        Shape { head_dim: 3, ..shape },
        Shape { head_dim: 0, ..shape },
        Shape { heads: 0, ..shape },
        Shape { window: 0, ..shape },
    ] {
        let n = elements(&shape);
        let floats = |name, n| Arg::input(name, vec![0.0; n]);
        let lse = floats("logsumexp", shape.rows() * shape.heads);
        let args = [floats("qkv", 3 * n), floats("out", n), lse.clone()];
        refuses_value(&Forward { shape }, &args);
        let [qkv, out, lse] = args;
        let args = [qkv, out, lse, floats("d_out", n), floats("d_qkv", 3 * n)];
        refuses_value(&Backward { shape }, &args);
    }
}
