//! Attention of one new token to the ring cache of its window.

use crate::cpu::math::{axpy, dot, exp_sum, max};
use crate::cpu::memory::{read, write};
use crate::cpu::pool::for_each;
use crate::cpu::ropes::Ropes;
use crate::cpu::scratch::with_local;
use crate::ops::WindowAttentionDecode;
use crate::rope::rotate;
use crate::{DeviceId, Result};

pub fn decode(device: DeviceId, args: &WindowAttentionDecode<'_>, ropes: &mut Ropes) -> Result<()> {
    const OP: &str = "window_attention_decode";
    let s = args.shape;
    let qkv = read::<f32>(device, OP, args.qkv)?;
    let keys = write::<f32>(device, OP, args.keys)?;
    let values = write::<f32>(device, OP, args.values)?;
    let out = write::<f32>(device, OP, args.out)?;
    let index = ropes.prepare(s.head_dim, s.theta, 1, args.position + 1);
    let row = ropes.table(index).row(args.position);
    let (d, width) = (s.head_dim, s.width());
    let slot = args.position % s.window;
    let seen = (args.position + 1).min(s.window);
    let ring = s.window * width;
    let rings = keys.chunks_mut(ring).zip(values.chunks_mut(ring));
    let sequences = out.chunks_mut(width).zip(qkv.chunks(3 * width)).zip(rings);
    for_each(sequences, |((out, qkv), (keys, values))| {
        let (q, kv) = qkv.split_at(width);
        let (k, v) = kv.split_at(width);
        values[slot * width..(slot + 1) * width].copy_from_slice(v);
        with_local(d + seen, |memory| {
            let (rotated, weights) = memory.split_at_mut(d);
            for head in 0..s.heads {
                let part = head * d..(head + 1) * d;
                let at = slot * width + head * d;
                rotate(&k[part.clone()], &mut keys[at..at + d], row, 1.0);
                rotate(&q[part.clone()], rotated, row, 1.0 / (d as f32).sqrt());
                for (j, w) in weights.iter_mut().enumerate() {
                    let at = j * width + head * d;
                    *w = dot(rotated, &keys[at..at + d]);
                }
                let top = max(weights);
                let inverse = 1.0 / exp_sum(weights, top);
                let out = &mut out[part];
                out.fill(0.0);
                for (j, w) in weights.iter().enumerate() {
                    let at = j * width + head * d;
                    axpy(w * inverse, &values[at..at + d], out);
                }
            }
        });
    });
    Ok(())
}
