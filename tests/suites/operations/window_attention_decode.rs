//! One token at a time against a ring cache.

use ltm_engine::ops::{WindowAttentionDecode, WindowAttentionForward, WindowAttentionShape};
use ltm_engine::{Buffer, DType, Device, DeviceExt, Ops, Result};
use ltm_tests::numbers::{normals, widen};
use ltm_tests::reference::window_attention;
use ltm_tests::{Arg, Case, Expected, device, refuses, refuses_value, verify};

/// Decoding the token at `position`, after all those before it.
#[derive(Clone, Copy, Debug)]
struct Decode {
    shape: WindowAttentionShape,
    position: usize,
}

printed!(Decode);

impl Decode {
    /// The same sequences as a whole, up to and with this token.
    fn whole(&self) -> WindowAttentionShape {
        WindowAttentionShape { seq: self.position + 1, ..self.shape }
    }

    /// `[batch, seq, 3, width]`.
    fn qkv(&self) -> Vec<f32> {
        normals(1, 3 * self.whole().rows() * self.shape.width())
    }

    /// q, k or v of a token.
    fn row<'a>(&self, qkv: &'a [f32], b: usize, t: usize, part: usize) -> &'a [f32] {
        let width = self.shape.width();
        &qkv[((b * (self.position + 1) + t) * 3 + part) * width..][..width]
    }

    /// Both caches once the first `tokens` tokens are in; NaN where none has been.
    fn caches(&self, tokens: usize) -> [Vec<f64>; 2] {
        let (s, qkv) = (&self.shape, self.qkv());
        let width = s.width();
        let mut caches = [1, 2].map(|_| vec![f64::NAN; s.batch * s.window * width]);
        for b in 0..s.batch {
            for t in 0..tokens {
                let key = widen(self.row(&qkv, b, t, 1));
                let key = window_attention::rotated_key(&key, t, s);
                let value = widen(self.row(&qkv, b, t, 2));
                let slot = (b * s.window + t % s.window) * width;
                caches[0][slot..slot + width].copy_from_slice(&key);
                caches[1][slot..slot + width].copy_from_slice(&value);
            }
        }
        caches
    }
}

impl Case for Decode {
    fn op(&self) -> &'static str {
        "window_attention_decode"
    }

    fn args(&self) -> Vec<Arg> {
        let qkv = self.qkv();
        let parts = (0..self.shape.batch).flat_map(|b| [0, 1, 2].map(|part| (b, part)));
        let rows = parts.flat_map(|(b, part)| self.row(&qkv, b, self.position, part).to_vec());
        let [keys, values] = self.caches(self.position).map(|c| ltm_tests::numbers::narrow(&c));
        vec![
            Arg::input("qkv", rows.collect()),
            Arg::updated("keys", keys),
            Arg::updated("values", values),
            Arg::overwritten("out", self.shape.batch * self.shape.width()),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.window_attention_decode(&WindowAttentionDecode {
            qkv: &b[0],
            keys: &b[1],
            values: &b[2],
            out: &b[3],
            position: self.position,
            shape: self.shape,
        })
    }

    fn expected(&self) -> Vec<Expected> {
        let whole = self.whole();
        let (out, _) = window_attention::forward(&widen(&self.qkv()), &whole);
        let last = out.chunks_exact(self.shape.width()).skip(self.position);
        let last = last.step_by(whole.seq).flatten().copied().collect();
        let [keys, values] = self.caches(self.position + 1);
        vec![Expected::new(keys, 2.0), Expected::exact(values), Expected::new(last, 32.0)]
    }
}

const SHAPE: WindowAttentionShape =
    WindowAttentionShape { batch: 2, seq: 1, heads: 3, head_dim: 6, window: 5, theta: 1e4 };

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
        refuses_value(&Decode { shape, position: 7 }, &case.args());
    }
}
