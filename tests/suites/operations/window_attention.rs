//! Sliding-window attention over whole sequences.

use ltm_engine::ops::WindowAttentionShape as Shape;
use ltm_tests::cases::window_attention::{Backward, Forward, elements, qkv};
use ltm_tests::{Arg, Case, refuses, refuses_value, verify};

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
