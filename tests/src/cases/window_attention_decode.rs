//! One token at a time against a ring cache.

use ltm_engine::ops::{WindowAttentionDecode, WindowAttentionShape};
use ltm_engine::{Buffer, Device, Result};

use crate::numbers::{narrow, normals, widen};
use crate::reference::window_attention;
use crate::{Arg, Case, Expected, Format, Inputs, Rounding};

/// Decoding the token at `position`, after all those before it.
#[derive(Clone, Copy, Debug)]
pub struct Decode {
    /// Extents; one token per sequence.
    pub shape: WindowAttentionShape,
    /// Position of the token.
    pub position: usize,
}

printed!(Decode);

/// A small case.
pub const SHAPE: WindowAttentionShape =
    WindowAttentionShape { batch: 2, seq: 1, heads: 3, head_dim: 6, window: 5, theta: 1e4 };

impl Decode {
    /// q, k or v of the token `t` of every sequence.
    fn rows(&self, qkv: &[f32], t: usize, part: usize) -> Vec<Vec<f32>> {
        let (width, seq) = (self.shape.width(), self.position + 1);
        let row = |b| ((b * seq + t) * 3 + part) * width;
        (0..self.shape.batch).map(|b| qkv[row(b)..row(b) + width].to_vec()).collect()
    }

    /// First number of the slot of token `t` of sequence `b` in a cache.
    fn slot(&self, b: usize, t: usize) -> usize {
        (b * self.shape.window + t % self.shape.window) * self.shape.width()
    }

    /// Both caches once all tokens before are in; NaN where none has been.
    fn caches(&self, qkv: &[f32]) -> [Vec<f32>; 2] {
        let (s, width) = (&self.shape, self.shape.width());
        let mut caches = [1, 2].map(|_| vec![f32::NAN; s.batch * s.window * width]);
        for t in 0..self.position {
            let (keys, values) = (self.rows(qkv, t, 1), self.rows(qkv, t, 2));
            for (b, (key, value)) in keys.iter().zip(&values).enumerate() {
                let key = window_attention::rotated_heads(&widen(key), t, s);
                let slot = self.slot(b, t);
                caches[0][slot..slot + width].copy_from_slice(&narrow(&key));
                caches[1][slot..slot + width].copy_from_slice(value);
            }
        }
        caches
    }
}

impl Case for Decode {
    fn op(&self) -> &'static str {
        "window_attention_decode"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let all = (self.position + 1) * self.shape.batch;
        let qkv = format.stored(normals(1, 3 * all * self.shape.width()));
        let parts = [0, 1, 2].map(|part| self.rows(&qkv, self.position, part));
        let token = |b: usize| parts.iter().flat_map(move |rows| rows[b].clone());
        let [keys, values] = self.caches(&qkv);
        vec![
            format.input("qkv", (0..self.shape.batch).flat_map(token).collect()),
            format.updated("keys", keys),
            format.updated("values", values),
            format.overwritten("out", self.shape.batch * self.shape.width()),
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

    /// A key that enters the cache is rounded, and so is the query.
    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        let (s, width) = (&self.shape, self.shape.width());
        let [qkv, mut keys, mut values] = ["qkv", "keys", "values"].map(|n| inputs.numbers(n));
        let per_cache = s.window * width;
        let mut out = Vec::new();
        for (b, row) in qkv.chunks_exact(3 * width).enumerate() {
            let turned = |x| window_attention::rotated_heads(x, self.position, s);
            let (query, key) = (turned(&row[..width]), turned(&row[width..2 * width]));
            let slot = self.slot(b, self.position);
            keys[slot..slot + width].copy_from_slice(&rounding.all(key));
            values[slot..slot + width].copy_from_slice(&row[2 * width..]);
            let part = b * per_cache..(b + 1) * per_cache;
            let (keys, values) = (&keys[part.clone()], &values[part]);
            let (query, tokens) = (rounding.all(query), s.window.min(self.position + 1));
            out.extend(window_attention::decode(&query, keys, values, tokens, s, rounding));
        }
        vec![Expected::new(keys, 2.0), Expected::exact(values), Expected::new(out, 32.0)]
    }
}
