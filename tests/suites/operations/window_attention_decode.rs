//! One token at a time against a ring cache.

use ltm_engine::ops::{WindowAttentionForward, WindowAttentionShape};
use ltm_engine::{DType, Device, DeviceExt, Ops};
use ltm_tests::cases::window_attention_decode::{Decode, SHAPE};
use ltm_tests::numbers::normals;
use ltm_tests::{Case, Format, device, refuses, refuses_value, verify};

/// Before the ring is full, as it fills, and after it has gone round. Unused slots hold NaN,
/// which would spread from any that is read; they are left alone.
#[test]
fn one_token_is_correct() {
    let mut cases = Vec::new();
    for (head_dim, window) in [(2, 1), (6, 5), (16, 64), (32, 7), (64, 65), (128, 5)] {
        for position in [0, 1, window - 1, window, window + 1, 3 * window + 2] {
            let shape = WindowAttentionShape { head_dim, window, ..SHAPE };
            cases.push(Decode { shape, position });
        }
    }
    verify(cases);
}

/// The same tokens as one sequence and one by one.
#[test]
fn tokens_one_by_one_equal_the_sequence() {
    for (window, seq) in [(1, 9), (5, 23), (64, 130), (200, 130)] {
        let whole = WindowAttentionShape { seq, window, head_dim: 32, ..SHAPE };
        let one = WindowAttentionShape { seq: 1, ..whole };
        let (width, batch) = (whole.width(), whole.batch);
        let mut device = device(2);
        let numbers = normals(3, 3 * whole.rows() * width);
        let qkv = device.alloc_from(&numbers).unwrap();
        let out = device.alloc(DType::F32, whole.rows() * width).unwrap();
        let lse = device.alloc(DType::F32, whole.rows() * whole.heads).unwrap();
        let forward =
            WindowAttentionForward { qkv: &qkv, out: &out, logsumexp: &lse, shape: whole };
        device.window_attention_forward(&forward).unwrap();
        let expected = device.read::<f32>(&out).unwrap();

        let keys = device.alloc(DType::F32, batch * window * width).unwrap();
        let values = device.alloc(DType::F32, batch * window * width).unwrap();
        let token = device.alloc(DType::F32, batch * width).unwrap();
        for t in 0..seq {
            let rows: Vec<f32> = (0..batch)
                .flat_map(|b| numbers[(b * seq + t) * 3 * width..][..3 * width].to_vec())
                .collect();
            let rows = device.alloc_from(&rows).unwrap();
            let buffers = [rows, keys.clone(), values.clone(), token.clone()];
            Decode { shape: one, position: t }.call(&mut device, &buffers).unwrap();
            for (b, found) in device.read::<f32>(&token).unwrap().chunks_exact(width).enumerate() {
                let expected = &expected[(b * seq + t) * width..][..width];
                let far = |(a, b): (&f32, &f32)| (a - b).abs() > 4e-6;
                let differ = found.iter().zip(expected).any(far);
                assert!(!differ, "window {window}, token {t}: {found:?}, {expected:?}");
            }
        }
    }
}

#[test]
fn malformed_calls_are_refused() {
    let case = Decode { shape: SHAPE, position: 7 };
    refuses(&case);
    for shape in [
        WindowAttentionShape { seq: 2, ..SHAPE },
        WindowAttentionShape { head_dim: 5, ..SHAPE },
        WindowAttentionShape { heads: 0, ..SHAPE },
        WindowAttentionShape { window: 0, ..SHAPE },
    ] {
        refuses_value(&Decode { shape, position: 7 }, &case.args(Format::F32));
    }
}
